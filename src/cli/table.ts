// A table as the original client prints it: framed, headings centred, the first column to the left, figures to the right.

export function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = headings.map((heading, i) => Math.max(heading.length, ...rows.map((row) => row[i]?.length ?? 0)));
  const frame = `+${widths.map((width) => '-'.repeat(width + 2)).join('+')}+`;
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const centred = (text: string, width: number): string => {
    const left = Math.floor((width - text.length) / 2);
    return text.padStart(text.length + left).padEnd(width);
  };
  const aligned = (row: readonly string[]): string =>
    line(widths.map((width, i) => (i === 0 ? (row[i] ?? '').padEnd(width) : (row[i] ?? '').padStart(width))));
  return [
    frame,
    line(headings.map((heading, i) => centred(heading, widths[i] ?? 0))),
    frame,
    ...rows.map(aligned),
    frame,
  ].join('\n');
}
