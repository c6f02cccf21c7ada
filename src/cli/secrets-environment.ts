// Secrets that the environment may bring, under the original client's names. They are taken out of it before any command
// runs, so that no child process inherits them and nothing prints them with the rest.

/** ACCESS_KEY is an id and no secret, but it is nobody's without the others. */
const variables = ['JFS_RSA_PASSPHRASE', 'META_PASSWORD', 'ACCESS_KEY', 'SECRET_KEY', 'SESSION_TOKEN'] as const;
type Variable = (typeof variables)[number];

const taken = new Map<Variable, Buffer>();

/** Runs before any command. */
export function takeSecretsFromEnvironment(): void {
  for (const name of variables) {
    const value = process.env[name];
    if (value === undefined) continue;
    taken.set(name, Buffer.from(value));
    delete process.env[name];
  }
}

/** The value as it was, an empty one included. */
export const secretFromEnvironment = (name: Variable): Buffer | undefined => taken.get(name);
