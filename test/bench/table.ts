// Figures of both clients by metric and round; a row shows medians and the median of the ratios within a round.
import type { Figures } from './workloads.ts';

/** Less is better: seconds and memory. */
const isCost = (metric: string): boolean => metric.endsWith('_s') || /^(cpu|peak|pss) /.test(metric);

export class Table {
  readonly #ours: string;
  readonly #other: string;
  /** metric -> client -> figure by round (the last one measured in it). */
  readonly #figures = new Map<string, Map<string, number[]>>();

  constructor(ours: string, other: string) {
    this.#ours = ours;
    this.#other = other;
  }

  add(client: string, round: number, figures: Figures): void {
    for (const [metric, value] of Object.entries(figures)) {
      const byClient = this.#figures.get(metric) ?? new Map<string, number[]>();
      const values = byClient.get(client) ?? [];
      values[round] = value;
      byClient.set(client, values);
      this.#figures.set(metric, byClient);
    }
  }

  render(): string {
    const rows = [...this.#figures].map(([metric, byClient]) => {
      const ours = byClient.get(this.#ours) ?? [];
      const other = byClient.get(this.#other) ?? [];
      const ratios = ours.map((value, i) => (isCost(metric) ? (other[i] ?? 0) / value : value / (other[i] ?? 0)));
      return { metric, cells: [shown(median(ours)), shown(median(other)), `${shown(median(ratios))}×`] };
    });
    const speeds = rows.filter(({ metric }) => !/^(cpu|peak|pss) /.test(metric));
    const costs = rows.filter(({ metric }) => /^(cpu|peak|pss) /.test(metric));
    return [this.#lines('metric', speeds), '', this.#lines('cost (s, MiB)', costs)].join('\n');
  }

  #lines(title: string, rows: readonly { readonly metric: string; readonly cells: readonly string[] }[]): string {
    const head = `| ${title} | ${this.#ours} | ${this.#other} | times better |\n|---|---|---|---|`;
    return [head, ...rows.map(({ metric, cells }) => `| ${metric} | ${cells.join(' | ')} |`)].join('\n');
  }
}

function median(values: readonly number[]): number {
  const sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

function shown(value: number): string {
  if (!Number.isFinite(value)) return '';
  if (value >= 100) return value.toFixed(0);
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
