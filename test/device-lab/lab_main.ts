// SPDX-License-Identifier: Apache-2.0
// `npm run lab [-- --kernel 6.12]`: prepares the device lab, boots one machine,
// says how to reach it and leaves it running until Ctrl-C.

import {parseArgs} from 'node:util';
import {
  type BootOptions,
  bootLab,
  type KernelName,
  KERNELS,
  LabError,
  prepareLab,
} from './lab.js';

const USAGE = `usage: npm run lab -- [options]
  --kernel 6.1|6.12|newest   a Debian kernel (6.1)
  --adbd-uid N               the user of adb's shells (0; 2000: unrooted)
  --su 1|aosp|magisk         a su program: both styles, or one
  --no-debugfs               leaves debugfs unmounted
  --perfetto stand-in|real   a stand-in for perfetto, or Perfetto itself
  --memory-mb N              (2048)
  --port N                   of this machine (a free one)
`;

function isKernel(name: string): name is KernelName {
  return (KERNELS as readonly string[]).includes(name);
}

function parseNumber(option: string, value: string): number {
  if (!/^\d+$/.test(value)) throw new LabError(`--${option}: not a number`);
  return Number(value);
}

function parseSu(value: string): boolean | 'aosp' | 'magisk' {
  if (value === 'aosp' || value === 'magisk') return value;
  if (value === '1') return true;
  throw new LabError('--su is 1, aosp or magisk');
}

function parsePerfetto(value: string): 'stand-in' | 'real' {
  if (value === 'stand-in' || value === 'real') return value;
  throw new LabError('--perfetto is stand-in or real');
}

function parseOptions(args: readonly string[]): BootOptions | undefined {
  const {values} = parseArgs({
    args: [...args],
    options: {
      help: {type: 'boolean'},
      kernel: {type: 'string', default: '6.1'},
      'adbd-uid': {type: 'string'},
      su: {type: 'string'},
      'no-debugfs': {type: 'boolean'},
      perfetto: {type: 'string'},
      'memory-mb': {type: 'string'},
      port: {type: 'string'},
    },
  });
  if (values.help === true) return undefined;
  const {kernel, su, port, perfetto} = values;
  if (!isKernel(kernel)) {
    throw new LabError(`--kernel is one of ${KERNELS.join(', ')}`);
  }
  const uid = values['adbd-uid'];
  const memory = values['memory-mb'];
  return {
    kernel,
    debugfs: values['no-debugfs'] !== true,
    ...(uid !== undefined && {adbdUid: parseNumber('adbd-uid', uid)}),
    ...(su !== undefined && {su: parseSu(su)}),
    ...(perfetto !== undefined && {perfetto: parsePerfetto(perfetto)}),
    ...(memory !== undefined && {memoryMb: parseNumber('memory-mb', memory)}),
    ...(port !== undefined && {port: parseNumber('port', port)}),
  };
}

function interrupted(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.once(signal, () => {
        resolve();
      });
    }
  });
}

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  if (!options) {
    process.stdout.write(USAGE);
    return;
  }
  prepareLab(options.kernel);
  const lab = await bootLab(options);
  const server = `ANDROID_ADB_SERVER_PORT=${String(lab.adbPort)}`;
  process.stdout.write(
    `Linux ${lab.kernelRelease} is up. Reach it with\n` +
      `  export ${server} ANDROID_SERIAL=${lab.serial}\n` +
      `  adb shell "puppet do 'spawn camera' 'alloc camera frame'"\n` +
      'Ctrl-C ends it.\n',
  );
  await interrupted();
  await lab.stop();
}

main().catch((error: unknown) => {
  process.stderr.write(`${String(error)}\n`);
  process.exitCode = 1;
});
