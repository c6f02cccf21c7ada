// Inodes with data acknowledged to the application but not yet committed. Kept outside the worker (the state memfd), so
// that a successor knows whose bytes were lost (a loss is never silent).
import type { Ino } from '../../base/words.ts';

export interface UncommittedMarks {
  /** Set before the first such write is answered; idempotent, synchronous. Throws EIO when the table is full. */
  mark(ino: Ino): void;
  /** Cleared when the inode's last slice has committed. */
  clear(ino: Ino): void;
  /** What the predecessor left behind; read once at takeover. */
  inherited(): readonly Ino[];
}
