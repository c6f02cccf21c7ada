// Sizes that read as sizes.
export const KiB = 1024;
export const MiB = 1024 * KiB;
export const GiB = 1024 * MiB;

/** Space accounting of the format: 0 counts as one 4 KiB unit (spec, conventions). */
export const align4K = (bytes: bigint): bigint => (bytes === 0n ? 4096n : ((bytes + 4095n) >> 12n) << 12n);
