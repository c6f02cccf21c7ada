// CSI and its clients for tests: calls by name, answers or the gRPC code they failed with.
import { type Client, credentials, type ServiceError, status } from '@grpc/grpc-js';
import { type ServiceName, services } from '../../src/csi/proto.ts';

// biome-ignore lint/suspicious/noExplicitAny: answers are what the proto says, and tests look at a few fields
export type Answer = any;

export class CsiClient {
  readonly #clients: Readonly<Record<ServiceName, Client>>;

  constructor(socket: string) {
    const make = (name: ServiceName): Client => new services[name](`unix:${socket}`, credentials.createInsecure());
    this.#clients = { Identity: make('Identity'), Controller: make('Controller'), Node: make('Node') };
  }

  call(service: ServiceName, method: string, request: object = {}): Promise<Answer> {
    const client = this.#clients[service] as unknown as Record<
      string,
      (request: object, done: (error: ServiceError | null, answer: Answer) => void) => void
    >;
    return new Promise((resolve, reject) => {
      const done = (error: ServiceError | null, answer: Answer): void => (error ? reject(error) : resolve(answer));
      const unary = client[method];
      if (unary === undefined) throw new Error(`${service} has no ${method}`);
      unary.call(client, request, done);
    });
  }

  /** "OK", or the name of the code. */
  async code(service: ServiceName, method: string, request: object = {}): Promise<string> {
    try {
      await this.call(service, method, request);
      return 'OK';
    } catch (error) {
      return status[(error as ServiceError).code] ?? String(error);
    }
  }

  close(): void {
    for (const client of Object.values(this.#clients)) client.close();
  }
}

export const writer = (mode = 'SINGLE_NODE_WRITER', mountFlags: string[] = []): object => ({
  mount: { mountFlags },
  accessMode: { mode },
});
