// The tables of the state memory as vfs/ and fuse/ want them.
import type { UncommittedMarks } from '../../filesystem/vfs/marks.ts';
import type { InFlightLog } from '../../fuse/inflight.ts';
import type { StateMemory } from '../../keeper/state.ts';

/** Call before anything is marked: adopts what the predecessor left. */
export function marksIn(state: StateMemory): UncommittedMarks {
  const inherited = state.marks.adopt();
  return {
    mark: (ino) => state.marks.add(ino),
    clear: (ino) => state.marks.remove(ino),
    inherited: () => inherited,
  };
}

export function inFlightIn(state: StateMemory): InFlightLog {
  const inherited = state.inFlight.adopt();
  return {
    note: (unique) => state.inFlight.add(unique),
    clear: (unique) => state.inFlight.remove(unique),
    inherited: () => inherited,
  };
}
