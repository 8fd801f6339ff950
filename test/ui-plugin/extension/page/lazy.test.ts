// SPDX-License-Identifier: Apache-2.0
import {describe, expect, it} from 'vitest';
import {lazy} from '../../../../src/ui-plugin/extension/lazy';

class Track {
  constructor(readonly uri: string) {}

  static create(uri: string): Track {
    return new Track(uri);
  }
}

describe('lazy', () => {
  it('asks for nothing until it is used', () => {
    let asked = 0;
    const LazyTrack = lazy(() => (asked++, Track));
    expect(asked).toBe(0);
    expect(new LazyTrack('/a').uri).toBe('/a');
    expect(asked).toBe(1);
  });

  it('makes real instances', () => {
    const LazyTrack = lazy(() => Track);
    expect(new LazyTrack('/a')).toBeInstanceOf(Track);
    expect(LazyTrack.create('/b')).toBeInstanceOf(LazyTrack);
  });

  it('calls functions and reaches their properties', () => {
    const m = Object.assign((tag: string) => `<${tag}>`, {version: '2'});
    const lazyM = lazy(() => m);
    expect(lazyM('p')).toBe('<p>');
    expect(lazyM.version).toBe('2');
  });

  it('follows what it stands for', () => {
    let current = (): number => 1;
    const now = lazy(() => current);
    expect(now()).toBe(1);
    current = () => 2;
    expect(now()).toBe(2);
  });

  it('passes on why there is nothing', () => {
    const nothing = lazy<typeof Track>(() => {
      throw new Error('no tracks here');
    });
    expect(() => new nothing('/a')).toThrow('no tracks here');
    expect(() => nothing.create('/a')).toThrow('no tracks here');
  });
});
