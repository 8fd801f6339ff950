// SPDX-License-Identifier: Apache-2.0
// The UI's own classes, taken from the running page. A bundle has no names for
// them, but it keeps the names of properties: what a track is made of tells what
// it is. See components/tracks/ and trace_processor/dataset.ts of Perfetto's UI.
import type {getColorForSlice} from '../api/components/colorizer';
import type {CounterTrack} from '../api/components/tracks/counter_track';
import type {SliceTrack} from '../api/components/tracks/slice_track';
import type {Trace} from '../api/public/trace';
import type {TrackNode} from '../api/public/workspace';
import type {SourceDataset} from '../api/trace_processor/dataset';
import {property} from './ui_app';

/** What the plugin uses of the UI's code, by the UI's names. */
export interface UiClasses {
  readonly CounterTrack: typeof CounterTrack;
  readonly SliceTrack: typeof SliceTrack;
  readonly SourceDataset: typeof SourceDataset;
  readonly TrackNode: typeof TrackNode;
  readonly getColorForSlice: typeof getColorForSlice;
}

/** Nothing is found in a trace that has no track of the kind. */
export type FoundClasses = {
  readonly [name in keyof UiClasses]: UiClasses[name] | undefined;
};

/** A class, as far as anybody can know without its declaration. */
type AnyClass = (abstract new (...args: never) => object) & {
  readonly prototype: object;
};

/** Looks through the tracks of a trace. */
export function findUiClasses(trace: Trace): FoundClasses {
  const renderers = trace.tracks.getAllTracks().map(({renderer}) => renderer);
  const slices = renderers.filter(isSliceTrack);
  return {
    CounterTrack: rootClass<typeof CounterTrack>(
      renderers.find(isCounterTrack),
    ),
    SliceTrack: rootClass<typeof SliceTrack>(slices[0]),
    SourceDataset: first(renderers, datasetClass),
    TrackNode: rootClass<typeof TrackNode>(trace.defaultWorkspace.tracks),
    getColorForSlice: first(slices, stockColors) ?? first(slices, colorsByName),
  };
}

/** As findUiClasses; the second where the first has nothing. */
export function mergeClasses(a: FoundClasses, b: FoundClasses): FoundClasses {
  return {
    CounterTrack: a.CounterTrack ?? b.CounterTrack,
    SliceTrack: a.SliceTrack ?? b.SliceTrack,
    SourceDataset: a.SourceDataset ?? b.SourceDataset,
    TrackNode: a.TrackNode ?? b.TrackNode,
    getColorForSlice: a.getColorForSlice ?? b.getColorForSlice,
  };
}

function isCounterTrack(renderer: object): boolean {
  return ['sqlSource', 'yMode', 'yRange'].every((name) => name in renderer);
}

function isSliceTrack(renderer: object): boolean {
  return (
    'sliceLayout' in renderer &&
    // A counter has all else that a slice track has.
    !('sqlSource' in renderer) &&
    typeof property(renderer.constructor, 'create') === 'function' &&
    typeof property(renderer.constructor, 'createMaterialized') === 'function'
  );
}

/** The class at the root of an object's: built-in tracks are of subclasses. */
function rootClass<T extends AnyClass>(
  instance: object | undefined,
): T | undefined {
  if (instance === undefined) return undefined;
  let root: object = Reflect.getPrototypeOf(instance) ?? Object.prototype;
  for (;;) {
    const parent = Reflect.getPrototypeOf(root);
    if (parent === null || parent === Object.prototype) break;
    root = parent;
  }
  return typeof root.constructor === 'function' && root !== Object.prototype
    ? (root.constructor as AnyClass as T)
    : undefined;
}

function datasetClass(renderer: object): typeof SourceDataset | undefined {
  const dataset = datasetOf(renderer);
  return dataset === undefined
    ? undefined
    : rootClass<typeof SourceDataset>(dataset);
}

/** What a track shows, where that is a SourceDataset. */
function datasetOf(renderer: object): object | undefined {
  const getDataset = property(renderer, 'getDataset');
  if (typeof getDataset !== 'function') return undefined;
  const dataset: unknown = Reflect.apply(getDataset, renderer, []);
  const isSource = ['src', 'schema', 'implements', 'query'].every(
    (name) => property(dataset, name) !== undefined,
  );
  return isSource && typeof dataset === 'object' && dataset !== null
    ? dataset
    : undefined;
}

type ColorFunction = UiClasses['getColorForSlice'];

/**
 * The UI's palette, reached through the stock slices of the trace: they are
 * coloured by their correlation id, or else by their name without its digits.
 */
function stockColors(renderer: object): ColorFunction | undefined {
  if (!hasColumn(renderer, 'correlation_id')) return undefined;
  return colorsOf(renderer, (name, isAllOfIt) => ({
    id: 0,
    name,
    correlation_id: isAllOfIt ? name : undefined,
  }));
}

/**
 * Some palette of the UI, where there are no stock slices: that of slices which
 * are coloured by their name. They may ignore digits, so letters stand for them.
 */
function colorsByName(renderer: object): ColorFunction | undefined {
  if (!hasColumn(renderer, 'name')) return undefined;
  const colors = colorsOf(renderer, (name, isAllOfIt) => ({
    id: 0,
    name: isAllOfIt ? name.replace(/\d/g, letterOf) : name,
  }));
  if (colors === undefined) return undefined;
  const some = ['a', 'b', 'c', 'd'].map((name) => colors(name).base.cssString);
  return new Set(some).size > 1 ? colors : undefined;
}

function letterOf(digit: string): string {
  return 'ABCDEFGHIJ'.charAt(Number(digit));
}

function hasColumn(renderer: object, name: string): boolean {
  return property(property(datasetOf(renderer), 'schema'), name) !== undefined;
}

/** What colours a track's rows, as a function of a name. */
function colorsOf(
  renderer: object,
  rowOf: (name: string, isAllOfIt: boolean) => object,
): ColorFunction | undefined {
  const attrs = property(renderer, 'attrs');
  const colorizer = property(attrs, 'colorizer');
  if (typeof colorizer !== 'function') return undefined;
  const colors: ColorFunction = (name, options) =>
    Reflect.apply(colorizer, attrs, [
      rowOf(name, options?.stripTrailingDigits === false),
    ]);
  try {
    const css = property(property(colors('x'), 'base'), 'cssString');
    return typeof css === 'string' ? colors : undefined;
  } catch {
    // It wants more of a row than a name.
    return undefined;
  }
}

/** What the first item that yields something yields. */
function first<T, R>(
  items: readonly T[],
  get: (item: T) => R | undefined,
): R | undefined {
  for (const item of items) {
    const result = get(item);
    if (result !== undefined) return result;
  }
  return undefined;
}
