// SPDX-License-Identifier: Apache-2.0
// The simulated kernel against real ones: after the same operations both must
// show the same bytes.
//
//   CONFORMANCE_SEED=N        of the random scripts, or `random`
//   CONFORMANCE_OPERATIONS=N  how many random operations at least, a kernel
import fc from 'fast-check';
import {afterAll, beforeAll, describe, expect, it} from 'vitest';
import {bootLab, type Lab, labAvailability} from '../device-lab/lab.js';
import {expectedOf, problemOf, runOnSimulator} from './comparison.js';
import {fixedScripts} from './fixed_scripts.js';
import {KNOWN_DIFFERENCES} from './known_differences.js';
import {MACHINES, type MachineUnderTest} from './machines.js';
import {draws, scriptOf} from './random_script.js';
import {runOnKernel} from './real_machine.js';
import {parseScript, renderScript, type Script} from './script.js';

const OPERATIONS = Number(process.env['CONFORMANCE_OPERATIONS'] ?? '500');
const RUNS_AT_ONCE = 5;
/** Shrinking runs a script on the machine for every attempt. */
const SHRINK_LIMIT_MS = 45_000;

function chosenSeed(): number {
  const seed = process.env['CONFORMANCE_SEED'] ?? '20190226';
  return seed === 'random' ? Date.now() % 0x7fff_ffff : Number(seed);
}

/** Whether the lab can be had; if not, says so where nobody can miss it. */
function isAvailable({kernel}: MachineUnderTest): boolean {
  const availability = labAvailability([kernel]);
  if (availability.ok) return true;
  process.stderr.write(
    `SKIPPED: conformance with kernel ${kernel}: missing: ` +
      `${availability.missing.join('; ')}\n`,
  );
  return false;
}

for (const machine of MACHINES) {
  const {kernel} = machine;
  describe.skipIf(!isAvailable(machine))(`kernel ${kernel}`, () => {
    let lab: Lab;

    beforeAll(async () => {
      lab = await bootLab({kernel});
    });

    afterAll(async () => {
      await (lab as Lab | undefined)?.stop();
    });

    async function compare(script: Script): Promise<void> {
      const simulated = runOnSimulator(machine, script);
      const real = await runOnKernel(lab, script);
      expect(
        expectedOf(simulated, kernel, KNOWN_DIFFERENCES),
        `the simulator shows something else after\n${renderScript(script)}`,
      ).toBe(real);
    }

    for (const {title, script} of fixedScripts(machine)) {
      it(title, () => compare(script));
    }

    it(`${OPERATIONS} random operations`, async () => {
      const seed = chosenSeed();
      let operations = 0;
      for (let round = 0; operations < OPERATIONS; round++) {
        await fc.assert(
          fc.asyncProperty(draws, async (drawn) => {
            const script = scriptOf(machine, drawn);
            operations += script.length;
            await compare(script);
          }),
          {
            seed: seed + round,
            numRuns: RUNS_AT_ONCE,
            interruptAfterTimeLimit: SHRINK_LIMIT_MS,
          },
        );
      }
      expect(operations).toBeGreaterThanOrEqual(OPERATIONS);
    }, 300_000);

    for (const difference of KNOWN_DIFFERENCES) {
      if (!difference.kernels.includes(kernel)) continue;
      it(`known: ${difference.title}`, async () => {
        const script = parseScript(difference.exhibit);
        const simulated = runOnSimulator(machine, script);
        const real = await runOnKernel(lab, script);
        expect(problemOf(difference, simulated, real)).toBeUndefined();
      });
    }
  });
}
