// SPDX-License-Identifier: Apache-2.0
import {describe, expect, it} from 'vitest';
import {
  provideUiClasses,
  uiClass,
} from '../../../../src/ui-plugin/extension/class_sources';
import {UiDoesNotFit} from '../../../../src/ui-plugin/extension/ui_app';
import {findUiClasses} from '../../../../src/ui-plugin/extension/ui_classes';
import {isOfUse} from './manager_double';
import {A, B, C, D, E, F, stockSlices, traceWith} from './tracks_double';

describe('findUiClasses', () => {
  it('tells the classes by what their instances have', () => {
    const trace = traceWith([new F(), new D(), stockSlices()]);
    const found = findUiClasses(trace);
    expect(found.CounterTrack).toBe(C);
    expect(found.SliceTrack).toBe(B);
    expect(found.SourceDataset).toBe(A);
    expect(found.TrackNode).toBe(E);
  });

  it('takes no counter for slices, though it is made the same way', () => {
    const found = findUiClasses(traceWith([new C()]));
    expect(found.SliceTrack).toBeUndefined();
    expect(found.CounterTrack).toBe(C);
  });

  it('finds the tree of tracks in any trace, and else nothing', () => {
    const {TrackNode, ...others} = findUiClasses(traceWith([]));
    expect(TrackNode).toBe(E);
    expect(Object.values(others)).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
  });

  it('colours as the stock slices are coloured', () => {
    const {getColorForSlice} = findUiClasses(traceWith([stockSlices()]));
    const css = (options?: {stripTrailingDigits: boolean}): unknown =>
      JSON.parse(getColorForSlice?.('7', options).base.cssString ?? '');
    expect(css()).toEqual({id: 0, name: '7'});
    expect(css({stripTrailingDigits: false})).toMatchObject({
      correlation_id: '7',
    });
  });

  it('takes colours by name, digits told apart, where there are none such', () => {
    const {getColorForSlice} = findUiClasses(
      traceWith([
        slicesColored(({name}) => (name === '' ? 'none' : name)),
        new F(),
      ]),
    );
    const css = (name: string): string | undefined =>
      getColorForSlice?.(name, {stripTrailingDigits: false}).base.cssString;
    expect(css('12.0')).toBe('BC.A');
    expect(css('13.0')).not.toBe(css('12.0'));
    expect(getColorForSlice?.('frame 7').base.cssString).toBe('frame 7');
  });

  it('prefers the stock slices', () => {
    const trace = traceWith([slicesColored(({name}) => name), stockSlices()]);
    const {getColorForSlice} = findUiClasses(trace);
    expect(getColorForSlice?.('x').base.cssString).toContain('"name":"x"');
  });

  it.each<[string, (row: {name: string}) => string]>([
    ['one colour for all', () => 'red'],
    [
      'more than a name to go by',
      () => {
        throw new TypeError('no such column');
      },
    ],
  ])('takes no colours from slices with %s', (_what, color) => {
    const found = findUiClasses(traceWith([slicesColored(color)]));
    expect(found.getColorForSlice).toBeUndefined();
  });
});

function slicesColored(color: (row: {name: string}) => string): B {
  return new B({
    dataset: new A({src: 'x', schema: {id: 0, name: 'str'}}),
    colorizer: (row) => ({base: {cssString: color(row as {name: string})}}),
  });
}

describe('provideUiClasses', () => {
  it('asks for no debug track where there are tracks of the kinds', async () => {
    const trace = traceWith([new D(), stockSlices()]);
    await provideUiClasses(trace, isOfUse);
    expect(trace.commandsRun).toEqual([]);
    expect(uiClass('SliceTrack')).toBe(B);
  });

  it('looks at debug tracks where there are none, and takes them away', async () => {
    const trace = traceWith([], {
      'dev.perfetto.AddDebugSliceTrack': stockSlices,
      'dev.perfetto.AddDebugCounterTrack': () => new C(),
    });
    await provideUiClasses(trace, isOfUse);
    expect(uiClass('SliceTrack')).toBe(B);
    expect(uiClass('SourceDataset')).toBe(A);
    expect(uiClass('CounterTrack')).toBe(C);
    expect(trace.pinned.children).toEqual([]);
  });

  it('does nothing to a trace that has nothing for the plugin', async () => {
    const trace = traceWith([]);
    await provideUiClasses(trace, () => Promise.resolve(false));
    expect(trace.commandsRun).toEqual([]);
    expect(() => uiClass('SliceTrack')).toThrow(UiDoesNotFit);
  });

  it('says what is missing only to who asks', async () => {
    await provideUiClasses(traceWith([stockSlices()]), isOfUse);
    expect(uiClass('SliceTrack')).toBe(B);
    expect(() => uiClass('CounterTrack')).toThrow(
      new UiDoesNotFit('the page has no CounterTrack as known here'),
    );
  });
});
