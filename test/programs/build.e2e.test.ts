// A build with make -j on a mount: sources written, compiled, archived, linked and run there, twice.
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { makeTemp } from '../harness/temp.ts';
import { interopNeeds, needs, root } from '../harness/tools.ts';
import { sizes } from '../sizes.ts';
import { ProgramVolume } from './volume.ts';

const MAKEFILE = `OBJECTS := $(patsubst %.c,out/%.o,$(wildcard *.c))
out/program: out/lib.a
\tcc -o $@ -Wl,--whole-archive $< -Wl,--no-whole-archive
out/lib.a: $(OBJECTS) $(patsubst native/%.c,out/native/%.o,$(wildcard native/*.c))
\trm -f $@ && ar rcsD $@ $(OBJECTS)
out/%.o: %.c
\t@mkdir -p $(@D)
\tcc -std=gnu11 -O1 -g -fPIC -MMD -DNODE_GYP_MODULE_NAME=pageseal -DBUILDING_NODE_EXTENSION -D_GNU_SOURCE -I$(HEADERS) -c -o $@ $<
-include $(wildcard out/*.d out/native/*.d)
`;

/** Sources of a program that says the sum of what its parts say, and those of the addon. */
function writeSources(folder: string, parts: number): void {
  mkdirSync(join(folder, 'native'), { recursive: true });
  writeFileSync(join(folder, 'Makefile'), MAKEFILE);
  const numbers = Array.from({ length: parts }, (_, i) => i);
  writeFileSync(join(folder, 'all.h'), numbers.map((i) => `int part_${i}(int);\n`).join(''));
  for (const i of numbers)
    writeFileSync(
      join(folder, `part-${i}.c`),
      `#include "all.h"\n#include <stdio.h>\n#include <stdlib.h>\nint part_${i}(int n) { return n + ${i}; }\n`,
    );
  const calls = numbers.map((i) => `n = part_${i}(n);`).join(' ');
  writeFileSync(
    join(folder, 'main.c'),
    `#include <stdio.h>\n#include "all.h"\nint main(void) { int n = 0; ${calls} printf("%d\\n", n); return 0; }\n`,
  );
  for (const name of readdirSync(join(root, 'src/native')).filter((file) => /\.[ch]$/.test(file)))
    copyFileSync(join(root, 'src/native', name), join(folder, 'native', name));
}

describe('a compiler build', needs(...interopNeeds, 'make'), () => {
  test('make -j, nothing to do, again after a header changed', async (t) => {
    const temp = makeTemp(t);
    const volume = await ProgramVolume.mount(temp);
    const folder = join(volume.top, 'program');
    writeSources(folder, sizes.sources);
    const headers = join(root, 'node_modules', `node-linux-${process.arch}`, 'include/node');
    const make = (...args: string[]): Promise<string> =>
      volume.run('make', ['-C', folder, '-j', '4', `HEADERS=${headers}`, ...args]);
    await make();
    const program = join(folder, 'out/program');
    const sum = `${(sizes.sources * (sizes.sources - 1)) / 2}\n`;
    assert.equal(await volume.run(program, []), sum);
    await volume.remount();
    assert.equal(await volume.run(program, []), sum);
    assert.match(await make(), /up to date/);
    await volume.run('touch', [join(folder, 'all.h')]);
    const again = await make();
    assert.equal(again.match(/-c -o/g)?.length, sizes.sources + 1, 'what includes the header, and nothing else');
    assert.equal(await volume.run(program, []), sum);
    rmSync(join(folder, 'out'), { recursive: true });
    await volume.end();
  });
});
