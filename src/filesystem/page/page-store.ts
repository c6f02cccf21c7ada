// Pages under their place: seal and upload, fetch and open, delete. The face that the vfs sees.
import type { LedgerEntry, SliceId } from '../../base/words.ts';

/** The place of one page: block `indx` of slice `sliceId`; `length` is its plain length in bytes (1..page size). */
export interface PagePlace {
  readonly sliceId: SliceId;
  readonly indx: number;
  readonly length: number;
}

export interface PageStore {
  /** Plain bytes of a full page (setting BlockSize, in bytes). */
  readonly pageSize: number;
  /** Whether pages are sealed. */
  readonly encrypted: boolean;

  /**
   * Seals `plain` (exactly place.length bytes; the caller must not change it until the promise settles) and puts it.
   * Resolves when the object is durable, with the ledger row to commit (undefined for unencrypted volumes). All
   * retries send the same bytes. Rejects: store-full, store-unavailable.
   */
  write(place: PagePlace, plain: Buffer, signal?: AbortSignal): Promise<LedgerEntry | undefined>;

  /**
   * The opened page, place.length bytes, shared with the memory cache: never to be written to. Rejects: page-damaged,
   * page-mismatch, page-unledgered, object-missing, store-unavailable. `mayBeGone`: the caller will look again at what the
   * metadata says, so a missing object is nobody's concern yet.
   */
  read(place: PagePlace, entry: LedgerEntry | undefined, signal?: AbortSignal, mayBeGone?: boolean): Promise<Buffer>;

  /** The page if the memory cache holds it: the read path's way to answer without a promise. */
  cached(place: PagePlace): Buffer | undefined;

  /**
   * Before reading: pages found from now on keep their bytes until the answer is called (by then they have been copied
   * or sent). A page that is looked at without it may become empty.
   */
  hold(): () => void;

  /** Deletes every object of a slice of `size` bytes; missing objects are fine. */
  remove(sliceId: SliceId, size: number): Promise<void>;

  close(): Promise<void>;
}
