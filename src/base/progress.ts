// How long work says how far it is.

/** `total` undefined: not known (yet). Called often; whoever shows it decides how often. */
export type OnProgress = (done: number, total: number | undefined) => void;
