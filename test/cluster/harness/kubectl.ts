// kubectl as a test uses it: objects as data in and out, and waits that end with an explanation: what the object, its events
// and its pods' logs say.
import { setTimeout as sleep } from 'node:timers/promises';
import { type Outcome, type RunOptions, run } from '../../harness/program.ts';
import { lastLines, programPath } from '../testbed/programs.ts';

/** What every object has. */
export interface KubeObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata?: { readonly name?: string; readonly namespace?: string; readonly labels?: Record<string, string> };
}

/** Of objects whose type nobody wrote down: what was asked for is looked at by path. */
export type AnyObject = KubeObject & Readonly<Record<string, unknown>>;

/** A scheduler, a kubelet and our servers do something in a second or two; a busy machine in far more. */
const WAIT_BOUND_MS = 120_000;
const POLL_MS = 200;

export interface Wait {
  readonly boundMs?: number;
}

export class Kubectl {
  readonly #kubeconfig: string;
  readonly #namespace: string | undefined;

  constructor(kubeconfig: string, namespace?: string) {
    this.#kubeconfig = kubeconfig;
    this.#namespace = namespace;
  }

  /** The same cluster, another namespace. */
  in(namespace: string): Kubectl {
    return new Kubectl(this.#kubeconfig, namespace);
  }

  /** Any command; a failure is an outcome. */
  run(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    const where = ['--kubeconfig', this.#kubeconfig, ...(this.#namespace === undefined ? [] : ['-n', this.#namespace])];
    return run(programPath('kubectl'), [...where, ...args], options);
  }

  async ok(args: readonly string[], options: RunOptions = {}): Promise<string> {
    const { code, stdout, stderr } = await this.run(args, options);
    if (code !== 0) throw new Error(`kubectl ${args.join(' ')}: exit ${code}\n${stdout}${stderr}`);
    return stdout;
  }

  /** The objects, or YAML text. */
  apply(...objects: readonly (object | string)[]): Promise<string> {
    return this.ok(['apply', '-f', '-'], { input: documents(objects) });
  }

  /** A refusal is an outcome. */
  tryApply(...objects: readonly (object | string)[]): Promise<Outcome> {
    return this.run(['apply', '-f', '-'], { input: documents(objects) });
  }

  async get<T extends KubeObject = AnyObject>(kind: string, name: string): Promise<T> {
    return JSON.parse(await this.ok(['get', kind, name, '-o', 'json'])) as T;
  }

  /** Undefined: there is none. */
  async find<T extends KubeObject = AnyObject>(kind: string, name: string): Promise<T | undefined> {
    const text = await this.ok(['get', kind, name, '-o', 'json', '--ignore-not-found']);
    return text === '' ? undefined : (JSON.parse(text) as T);
  }

  /** `flags`: -l and others. */
  async list<T extends KubeObject = AnyObject>(kind: string, flags: readonly string[] = []): Promise<T[]> {
    return (JSON.parse(await this.ok(['get', kind, '-o', 'json', ...flags])) as { items: T[] }).items;
  }

  /** Gone when it resolves. */
  async delete(kind: string, name: string, flags: readonly string[] = []): Promise<void> {
    await this.ok(['delete', kind, name, '--ignore-not-found', '--wait', ...flags], { timeoutMs: 180_000 });
  }

  /** Until `condition` holds of the object (undefined while there is none); answers what it saw. */
  async until<T extends KubeObject = AnyObject>(
    kind: string,
    name: string,
    what: string,
    condition: (object: T | undefined) => boolean,
    { boundMs = WAIT_BOUND_MS }: Wait = {},
  ): Promise<T | undefined> {
    const deadline = Date.now() + boundMs;
    for (;;) {
      const object = await this.find<T>(kind, name);
      if (condition(object)) return object;
      if (Date.now() > deadline)
        throw new Error(`waited ${boundMs} ms for ${kind} ${name}: ${what}\n${await this.explain(kind, name)}`);
      await sleep(POLL_MS);
    }
  }

  /** A condition of its status. */
  async condition(kind: string, name: string, type: string, status = 'True', wait: Wait = {}): Promise<void> {
    await this.until(kind, name, `${type} is ${status}`, (object) => conditionOf(object, type) === status, wait);
  }

  async podReady(name: string, wait: Wait = {}): Promise<void> {
    await this.condition('pod', name, 'Ready', 'True', wait);
  }

  /** Until it has ended well; answers its log. One that fails is an error at once. */
  async podDone(name: string, wait: Wait = {}): Promise<string> {
    const pod = await this.until('pod', name, 'to end', (object) => /^(Succeeded|Failed)$/.test(phaseOf(object)), wait);
    if (phaseOf(pod) === 'Failed') throw new Error(`pod ${name} failed\n${await this.explain('pod', name)}`);
    return this.logs(name);
  }

  /** A command in a pod; a failure is an outcome. */
  exec(pod: string, command: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    const stdin = options.input === undefined ? [] : ['-i'];
    return this.run(['exec', ...stdin, pod, '--', ...command], options);
  }

  /** What a script in a pod printed. */
  async sh(pod: string, script: string, options: RunOptions = {}): Promise<string> {
    const { code, stdout, stderr } = await this.exec(pod, ['sh', '-ec', script], options);
    if (code !== 0) throw new Error(`in pod ${pod}: ${script}: exit ${code}\n${stdout}${stderr}`);
    return stdout;
  }

  logs(pod: string, flags: readonly string[] = []): Promise<string> {
    return this.ok(['logs', pod, '--all-containers', ...flags]);
  }

  /** Messages of the events about an object. */
  async events(kind: string, name: string): Promise<string[]> {
    const about = `involvedObject.kind=${kind},involvedObject.name=${name}`;
    const events = await this.list<KubeObject & { readonly reason: string; readonly message: string }>('events', [
      `--field-selector=${about}`,
    ]);
    return events.map(({ reason, message }) => `${reason}: ${message}`);
  }

  /** For messages: never fails. */
  async explain(kind: string, name: string): Promise<string> {
    const described = await this.run(['describe', kind, name]);
    const logs =
      kind === 'pod' ? (await this.run(['logs', name, '--all-containers', '--prefix', '--tail=20'])).stdout : '';
    return `${lastLines(described.stdout + described.stderr, 60)}\n${logs}`;
  }

  /** Everything of a namespace that tells why something in it does not work. */
  async explainAll(): Promise<string> {
    const shown = await this.run(['get', 'pods,persistentvolumeclaims', '-o', 'wide']);
    const events = await this.run(['get', 'events', '--sort-by=.lastTimestamp']);
    const pods = (await this.run(['get', 'pods', '-o', 'name'])).stdout.split('\n').filter(Boolean);
    const logs = await Promise.all(
      pods.map(async (pod) => (await this.run(['logs', pod, '--all-containers', '--prefix', '--tail=15'])).stdout),
    );
    return [shown.stdout, lastLines(events.stdout, 40), ...logs].join('\n');
  }
}

const documents = (objects: readonly (object | string)[]): string =>
  objects.map((object) => (typeof object === 'string' ? object : JSON.stringify(object))).join('\n---\n');

interface WithStatus {
  readonly status?: { readonly phase?: string; readonly conditions?: readonly { type: string; status: string }[] };
}

/** Of pods, claims and volumes. */
export const phaseOf = (object: KubeObject | undefined): string =>
  (object as WithStatus | undefined)?.status?.phase ?? '';

export const conditionOf = (object: KubeObject | undefined, type: string): string | undefined =>
  (object as WithStatus | undefined)?.status?.conditions?.find((one) => one.type === type)?.status;
