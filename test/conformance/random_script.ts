// SPDX-License-Identifier: Apache-2.0
// Scripts left to chance. What is drawn are numbers; what they mean depends on
// what the actors hold at that point, which the simulator knows, so that most
// operations have something to do.
import fc from 'fast-check';
import type {RawText} from '../../src/core/model/text.js';
import type {MachineUnderTest} from './machines.js';
import type {Operation, Script} from './script.js';
import {SimulatedMachine} from './simulated_machine.js';

/** Numbers that one operation is made of. */
export interface Draw {
  readonly verb: number;
  readonly who: number;
  readonly what: number;
  readonly how: number;
  readonly text: RawText;
}

const MAX_DRAWS = 60;
const MAX_ACTORS = 5;
const PAGE = 4096;
const ACCESS = ['rw', 'rw', 'r', 'rw', 'rw', 'w', 'rw', 'r'] as const;

const name = fc
  .array(
    fc.oneof(fc.integer({min: 1, max: 255}), fc.integer({min: 32, max: 126})),
    {
      maxLength: 34,
      size: 'max',
    },
  )
  .map((bytes) => String.fromCharCode(...bytes));

export const draws: fc.Arbitrary<Draw[]> = fc.array(
  fc.record({
    verb: fc.nat(99),
    who: fc.nat(999),
    what: fc.nat(999),
    how: fc.nat(9999),
    text: name,
  }),
  {minLength: 1, maxLength: MAX_DRAWS, size: 'max'},
);

function pick<T>(from: readonly T[], number: number): T | undefined {
  return from[number % from.length];
}

/** Scripts begin with two actors; each draw adds one operation at most. */
export function scriptOf(
  machine: MachineUnderTest,
  drawn: readonly Draw[],
): Script {
  const simulated = new SimulatedMachine(machine);
  const script: Operation[] = [];
  const add = (operation: Operation): void => {
    script.push(operation);
    simulated.perform(operation);
  };
  for (const actor of ['a0', 'a1']) {
    add({verb: 'spawn', actor, uid: undefined, comm: undefined});
  }
  const chooser = new Chooser(machine, simulated);
  for (const draw of drawn) {
    const operation = chooser.choose(draw);
    if (operation !== undefined) add(operation);
  }
  return script;
}

class Chooser {
  private actors = 2;
  private labels = 0;
  /** What they still hold nobody keeps books of. */
  private readonly executed = new Set<string>();

  constructor(
    private readonly machine: MachineUnderTest,
    private readonly simulated: SimulatedMachine,
  ) {}

  /** undefined where there is nothing to do it with. */
  choose(draw: Draw): Operation | undefined {
    const {verb} = draw;
    if (verb < 20) return this.alloc(draw);
    if (verb < 30) return this.ofProcess(draw);
    if (verb < 36) return this.receive(draw) ?? this.alloc(draw);
    return this.ofHolding(draw) ?? this.alloc(draw);
  }

  private get able(): string[] {
    return this.simulated.alive.filter((actor) => !this.executed.has(actor));
  }

  private newActor(): string {
    return `a${this.actors++}`;
  }

  private alloc({who, what, how, text}: Draw): Operation | undefined {
    const actor = pick(this.able, who);
    const exporter = pick(this.machine.exporters, what);
    if (actor === undefined || exporter === undefined) return undefined;
    return {
      verb: 'alloc',
      actor,
      label: `x${this.labels++}`,
      exporter,
      // Whole pages, nearly always.
      sizeBytes: (1 + (how % 24)) * PAGE - (how % 7 === 0 ? 1 : 0),
      name: how % 3 === 0 ? undefined : text,
      access: pick(ACCESS, how >> 5) ?? 'rw',
    };
  }

  private ofProcess({verb, who, how, text}: Draw): Operation | undefined {
    const actor = pick(this.able, who);
    const few = this.simulated.alive.length < MAX_ACTORS;
    if (actor === undefined || (few && verb < 22)) {
      const comm = how % 2 === 0 ? undefined : text;
      const uid = how % 5 === 0 ? 2000 : undefined;
      return {verb: 'spawn', actor: this.newActor(), uid, comm};
    }
    if (few && verb < 25) {
      const comm = how % 2 === 0 ? undefined : text;
      return {verb: 'fork', actor, child: this.newActor(), comm};
    }
    if (verb < 26) return {verb: 'comm', actor, comm: text};
    if (verb === 26 || verb === 28) {
      this.executed.add(actor);
      return {verb: 'exec', actor};
    }
    const zombie = pick(this.simulated.zombies, who);
    if (verb === 27 && zombie !== undefined)
      return {verb: 'reap', actor: zombie};
    const ends = ['exit', 'kill', 'zombie'] as const;
    return {verb: pick(ends, how) ?? 'exit', actor};
  }

  private receive({who, what}: Draw): Operation | undefined {
    const actor = pick(
      this.able.filter((each) => this.simulated.inboxesOf(each).length > 0),
      who,
    );
    if (actor === undefined) return undefined;
    const label = pick(this.simulated.inboxesOf(actor), what);
    return label === undefined ? undefined : {verb: 'receive', actor, label};
  }

  private ofHolding(draw: Draw): Operation | undefined {
    const {verb, who, what, how, text} = draw;
    const actor = pick(
      this.able.filter((each) => this.simulated.holdingsOf(each).length > 0),
      who,
    );
    if (actor === undefined) return undefined;
    const holding = pick(this.simulated.holdingsOf(actor), what);
    if (holding === undefined) return undefined;
    const {label, fds, buffer} = holding;
    if (verb < 38) {
      const over = pick(this.simulated.holdingsOf(actor), how)?.label ?? label;
      return {verb: 'dup2', actor, label, over};
    }
    if (verb < 42) {
      return {
        verb: 'dup',
        actor,
        label,
        lowest: how % 60,
        closeOnExec: how % 4 > 0,
      };
    }
    if (verb < 52) {
      const to = pick(this.able, how) ?? actor;
      return {verb: verb < 47 ? 'send' : 'sendhold', actor, to, label};
    }
    if (verb < 62) return this.map(actor, label, buffer.sizeBytes, how);
    const page = 1 + (what % 3);
    if (verb < 65) {
      const protection = pick(['r', 'none', 'rw'] as const, how) ?? 'r';
      return {verb: 'split', actor, label, page, protection};
    }
    if (verb < 68) return {verb: 'punch', actor, label, page};
    if (verb < 71) return {verb: 'unmap', actor, label};
    if (verb < 82) {
      const fd = pick(fds, how) ?? 'newest';
      const which = how % 4 === 0 ? 'all' : fd;
      return {verb: 'close', actor, label, which};
    }
    if (verb < 86) return {verb: 'name', actor, label, name: text};
    if (verb < 90) {
      const idle = holding.import === undefined;
      return {verb: idle ? 'import' : 'drop-import', actor, label};
    }
    if (verb < 93) {
      const idle = holding.thread === undefined;
      return {verb: idle ? 'thread-private' : 'thread-exit', actor, label};
    }
    if (verb < 96) {
      const whence = pick(['set', 'current', 'end'] as const, what) ?? 'end';
      const offset = how % 3 === 0 ? 0 : how - 5000;
      return {verb: 'seek', actor, label, offset, whence, fd: undefined};
    }
    return this.ioctl(actor, label, how, text);
  }

  private map(
    actor: string,
    label: string,
    sizeBytes: number,
    how: number,
  ): Operation {
    // Now and then beyond the end.
    const pages = sizeBytes / PAGE + 1;
    const offset = how % 2 === 0 ? 0 : (how % pages) * PAGE;
    const length =
      how % 3 === 0 ? undefined : ((how >> 3) % pages) * PAGE + (how % 5);
    return {verb: 'map', actor, label, offset, length, writable: how % 4 > 0};
  }

  private ioctl(
    actor: string,
    label: string,
    how: number,
    text: RawText,
  ): Operation {
    const request =
      pick([0x40086200, 0x40086201, 0x40046201, 0x80086202, 0x40086204], how) ??
      0;
    const payload = pick([{text}, {flags: how % 16}, undefined], how >> 3);
    // A number is no string: as a name it would be what its bytes say.
    const isSync = request === 0x40086200;
    const fits = payload === undefined || isSync === 'flags' in payload;
    return {
      verb: 'ioctl',
      actor,
      label,
      request,
      payload: fits ? payload : undefined,
      fd: how % 11 === 0 ? 250 : undefined,
    };
  }
}
