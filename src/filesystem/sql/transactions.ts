// How many transactions there were and how long their callers waited, the same for every database.
import { type Timer, timer } from '../../base/metrics.ts';

const transactions = (value: string): Timer =>
  timer('pageseal_metadata_transactions', 'Transactions of the metadata', { name: 'kind', value });

export const [reads, writes] = [transactions('read'), transactions('write')];
