// Places that a file system is given by name, for those who decide whether they may be used: which machines a store is, and
// a schema of PostgreSQL that is one file system's alone.
import { openEngine } from './sql/open-engine.ts';
import { type S3Address, s3Address } from './store/s3-address.ts';
import type { StoreSettings } from './store/store.ts';

/** Every address that the store's client would speak to. Rejects bad-input. */
export function storeEndpoints({ storage, bucket }: Pick<StoreSettings, 'storage' | 'bucket'>): URL[] {
  const address = s3Address(storage, bucket, {});
  return [endpointOf(address), ...virtualHost(address)];
}

const endpointOf = ({ endpoint, region }: S3Address): URL =>
  endpoint ?? new URL(`https://s3.${region ?? 'us-east-1'}.amazonaws.com`);

function virtualHost(address: S3Address): URL[] {
  const { protocol, host } = endpointOf(address);
  return address.pathStyle ? [] : [new URL(`${protocol}//${address.bucket}.${host}`)];
}

export const createSchema = (metaUrl: string, schema: string): Promise<void> =>
  execute(metaUrl, `CREATE SCHEMA IF NOT EXISTS ${quoted(schema)};`);

/** Rejects when anything is left in it. */
export const dropSchema = (metaUrl: string, schema: string): Promise<void> =>
  execute(metaUrl, `DROP SCHEMA IF EXISTS ${quoted(schema)};`);

async function execute(metaUrl: string, statement: string): Promise<void> {
  const engine = await openEngine(metaUrl, { create: true });
  try {
    await engine.execute(statement);
  } finally {
    await engine.close();
  }
}

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;
