// One workload in a process of its own: `load.ts WORKLOAD FOLDER SIZES`; prints its figures as JSON.
import type { Sizes } from './sizes.ts';
import { workloads } from './workloads.ts';

const [name = '', folder = '', sizes = ''] = process.argv.slice(2);
const work = workloads[name];
if (work === undefined) throw new Error(`no workload ${name}`);
console.log(JSON.stringify(await work(folder, JSON.parse(sizes) as Sizes)));
