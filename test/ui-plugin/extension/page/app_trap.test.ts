// SPDX-License-Identifier: Apache-2.0
import {describe, expect, it, vi} from 'vitest';
import {whenAppIsSet} from '../../../../src/ui-plugin/extension/app_trap';

interface Page {
  app?: unknown;
}

describe('whenAppIsSet', () => {
  it('calls back before the page goes on', () => {
    const page: Page = {};
    const order: string[] = [];
    whenAppIsSet(page, () => order.push('callback'));
    page.app = {};
    order.push('the page goes on');
    expect(order).toEqual(['callback', 'the page goes on']);
  });

  it('hands over what was set, and leaves it to the page', () => {
    const page: Page = {};
    const seen = vi.fn();
    whenAppIsSet(page, seen);
    const app = {name: 'the UI'};
    page.app = app;
    expect(seen).toHaveBeenCalledWith(app);
    expect(page.app).toBe(app);
    expect(Object.getOwnPropertyDescriptor(page, 'app')).toEqual({
      configurable: true,
      enumerable: true,
      writable: true,
      value: app,
    });
  });

  it('calls back once, whatever is set later', () => {
    const page: Page = {};
    const seen = vi.fn();
    whenAppIsSet(page, seen);
    page.app = 1;
    page.app = 2;
    expect(seen).toHaveBeenCalledTimes(1);
    expect(page.app).toBe(2);
  });

  it('calls back at once for one that is there', () => {
    const seen = vi.fn();
    whenAppIsSet({app: 'there'}, seen);
    expect(seen).toHaveBeenCalledWith('there');
  });

  it('looks unset to the page until then', () => {
    const page: Page = {};
    whenAppIsSet(page, vi.fn());
    expect(page.app).toBeUndefined();
    expect(Object.keys(page)).toEqual([]);
  });
});
