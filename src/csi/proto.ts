// csi.proto as released, loaded at run time: service definitions and nothing else.
import { loadPackageDefinition, type ServiceClientConstructor, type ServiceDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

interface Loaded {
  readonly csi: { readonly v1: Readonly<Record<'Identity' | 'Controller' | 'Node', ServiceClientConstructor>> };
}

/** Enums as names, 64-bit numbers as text, absent fields with their defaults. */
const loaded = loadPackageDefinition(
  loadSync(new URL('../../proto/csi.proto', import.meta.url).pathname, {
    longs: String,
    enums: String,
    defaults: true,
  }),
) as unknown as Loaded;

export const services = loaded.csi.v1;
export type ServiceName = keyof typeof services;
export const definitionOf = (name: ServiceName): ServiceDefinition => services[name].service;
