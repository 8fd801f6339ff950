// SPDX-License-Identifier: Apache-2.0
import {readFileSync} from 'node:fs';

const manifest = JSON.parse(
  readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
) as {readonly version: string};

/** Version of this package, as in package.json. */
export const TOOL_VERSION: string = manifest.version;
