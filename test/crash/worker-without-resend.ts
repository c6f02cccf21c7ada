// A worker as on a kernel before 6.9: started by a keeper in place of `pageseal worker`.
import { runWorker } from '../../src/cli/worker/run.ts';

await runWorker({ withoutResend: true });
