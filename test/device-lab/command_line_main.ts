// SPDX-License-Identifier: Apache-2.0
// What bin/perfetto-dmabuf.js does, from the sources.

import {run} from '../../src/producer/cli/main.js';

process.exit(await run(process.argv.slice(2)));
