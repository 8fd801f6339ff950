#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
import {existsSync} from 'node:fs';
import {URL} from 'node:url';

const main = new URL('../dist/producer/cli/main.js', import.meta.url);

if (existsSync(main)) {
  const {run} = await import(main.href);
  // Connections to a device that hangs must not keep us from ending.
  process.exit(await run(process.argv.slice(2)));
} else {
  process.stderr.write(
    "perfetto-dmabuf: it is not built yet: run 'npm run build' first\n",
  );
  process.exitCode = 1;
}
