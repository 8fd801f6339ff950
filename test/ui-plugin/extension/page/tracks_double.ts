// SPDX-License-Identifier: Apache-2.0
// Doubles of what the UI makes its tracks of, in all that tells them apart; the
// classes have no names that help, as in the UI's bundle.
import type {Trace} from '../../../../src/ui-plugin/api/public/trace';

/** The UI's SourceDataset. */
export class A {
  constructor(readonly config: {src: string; schema: object}) {}
  get src(): string {
    return this.config.src;
  }
  get schema(): object {
    return this.config.schema;
  }
  implements(): boolean {
    return true;
  }
  query(): string {
    return 'SELECT 1';
  }
}

interface SliceAttrs {
  readonly dataset: A;
  readonly colorizer?: (row: object) => unknown;
}

/** The UI's SliceTrack. */
export class B {
  readonly rootTableName = 'slice';
  readonly sliceLayout = {};
  constructor(readonly attrs: SliceAttrs) {}
  static create(attrs: SliceAttrs): B {
    return new B(attrs);
  }
  static async createMaterialized(attrs: SliceAttrs): Promise<B> {
    await Promise.resolve();
    return new B(attrs);
  }
  getDataset(): A {
    return this.attrs.dataset;
  }
}

/** The UI's CounterTrack. */
export class C {
  readonly rootTableName = 'counter';
  readonly sqlSource = 'counter';
  readonly yMode = 'value';
  readonly yRange = 'all';
  static create(): C {
    return new C();
  }
  static async createMaterialized(): Promise<C> {
    await Promise.resolve();
    return new C();
  }
}

/** A built-in counter, of a class of its own. */
export class D extends C {}

/** The UI's TrackNode. */
export class E {
  private readonly kept: E[] = [];
  constructor(readonly uri = '') {}
  addChildInOrder(node: E): void {
    this.kept.push(node);
  }
  getTrackByUri(uri: string): {remove(): void} | undefined {
    const at = this.kept.findIndex((node) => node.uri === uri);
    if (at < 0) return undefined;
    return {remove: () => void this.kept.splice(at, 1)};
  }
  get children(): readonly E[] {
    return this.kept;
  }
}

/** Something that is drawn otherwise. */
export class F {
  readonly rootTableName = 'sched';
}

/** A track of slices as the UI makes it of the table `slice`. */
export function stockSlices(): B {
  return new B({
    dataset: new A({src: 'slice', schema: {id: 0, correlation_id: 'str'}}),
    colorizer: (row) => ({base: {cssString: JSON.stringify(row)}}),
  });
}

export interface TraceParts extends Trace {
  readonly pinned: E;
  readonly commandsRun: string[];
}

/**
 * A trace with such tracks.
 *
 * @param debugTracks Of what the commands for debug tracks make one; by default
 *   there are none.
 */
export function traceWith(
  renderers: readonly object[],
  debugTracks: Readonly<Record<string, () => object>> = {},
): TraceParts {
  const tracks = renderers.map((renderer, i) => ({uri: `/${i}`, renderer}));
  const root = new E();
  const pinned = new E();
  const commandsRun: string[] = [];
  const workspace = {tracks: root, pinnedTracksNode: pinned};
  const parts = {
    traceInfo: {},
    tracks: {getAllTracks: () => [...tracks]},
    defaultWorkspace: workspace,
    currentWorkspace: workspace,
    pinned,
    commandsRun,
    commands: {
      runCommand: async (id: string) => {
        commandsRun.push(id);
        await Promise.resolve();
        const make = debugTracks[id];
        if (make === undefined) throw new Error(`no command ${id}`);
        tracks.push({uri: `/debug/${id}`, renderer: make()});
        pinned.addChildInOrder(new E(`/debug/${id}`));
      },
    },
  };
  return Object.assign({} as Trace, parts) as TraceParts;
}
