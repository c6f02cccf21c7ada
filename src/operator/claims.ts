// Which FileSystem object stands for which file system. One UUID has one: the oldest object, whoever came first here; so
// the answer is the same after a restart. The API server keeps ages in whole seconds: of two as old as each other the one
// whose status says that it has the file system keeps it, else the one that came first.
import type { FileSystemObject } from '../kube/crd/file-system.ts';
import { keyOf, nameOf } from '../kube/resources.ts';

interface Claim {
  readonly uuid: string;
  readonly createdAt: string;
  readonly uid: string;
  /** By its status, when it was claimed here. */
  readonly had: boolean;
}

export class Claims {
  readonly #claims = new Map<string, Claim>();
  readonly #onChange: (key: string) => void;

  /** `onChange`: another object's answer may be another one now. */
  constructor(onChange: (key: string) => void) {
    this.#onChange = onChange;
  }

  /** Answers the older object that has it already. */
  claim(object: FileSystemObject, uuid: string): string | undefined {
    const key = keyOf(nameOf(object));
    const { creationTimestamp = '', uid = '' } = object.metadata;
    const old = this.#claims.get(key);
    if (old?.uuid !== uuid || old.uid !== uid) {
      this.forget(key);
      this.#claims.set(key, { uuid, createdAt: creationTimestamp, uid, had: hasIt(object, uuid) });
      this.#tell(key, uuid);
    }
    const oldest = this.#of(uuid).reduce((a, b) => (isOlder(b[1], a[1]) ? b : a));
    return oldest[0] === key ? undefined : oldest[0];
  }

  forget(key: string): void {
    const old = this.#claims.get(key);
    this.#claims.delete(key);
    if (old !== undefined) this.#tell(key, old.uuid);
  }

  #of(uuid: string): [string, Claim][] {
    return [...this.#claims].filter(([, claim]) => claim.uuid === uuid);
  }

  #tell(but: string, uuid: string): void {
    for (const [key] of this.#of(uuid)) if (key !== but) this.#onChange(key);
  }
}

const hasIt = ({ status }: FileSystemObject, uuid: string): boolean =>
  status?.uuid === uuid && status.phase !== 'Conflict';

const isOlder = (a: Claim, b: Claim): boolean =>
  a.createdAt === b.createdAt ? a.had && !b.had : a.createdAt < b.createdAt;
