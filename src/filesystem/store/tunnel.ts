// TLS to the store through a proxy: the proxy carries bytes (CONNECT) and cannot answer in the store's place.
import type { ClientRequest } from 'node:http';
import type { Agent, AgentOptions } from 'node:https';
import { checkServerIdentity } from 'node:tls';
import { HttpsProxyAgent } from 'https-proxy-agent';

/** Loaded only where there is a proxy. */
export const tunnelAgent = (proxy: string, options: AgentOptions): Agent =>
  new TunnelAgent(proxy, options) as unknown as Agent;

/** The library takes its options for the way to the proxy; what is inside the tunnel needs them, and the store's name. */
class TunnelAgent extends HttpsProxyAgent<string> {
  readonly #inside: AgentOptions;

  constructor(proxy: string, options: AgentOptions) {
    super(proxy, { ...options });
    this.#inside = options;
    // The library forgets it, and idle tunnels would stay.
    Object.assign(this.options, { timeout: options.timeout });
  }

  /** Always: the library looks at the call stack instead, and pools sockets under names that it does not find again. */
  override isSecureEndpoint(): boolean {
    return true;
  }

  override connect(
    request: ClientRequest,
    options: Parameters<HttpsProxyAgent<string>['connect']>[1],
  ): ReturnType<HttpsProxyAgent<string>['connect']> {
    const { minVersion, rejectUnauthorized, secureContext } = this.#inside;
    const tls = { minVersion, rejectUnauthorized, ...(secureContext && { secureContext }) };
    return super.connect(request, {
      ...options,
      ...tls,
      // An address is not a server name, and without one the proxy's own name would be compared.
      checkServerIdentity: (_: string, certificate: Parameters<typeof checkServerIdentity>[1]) =>
        checkServerIdentity(options.host ?? '', certificate),
    } as typeof options);
  }
}
