// SPDX-License-Identifier: Apache-2.0
// Data that a view asks for at each draw and shows when it is there.
import m from 'mithril';
import {AsyncMemo} from '../../base/async_memo';

type Outcome<T> = {readonly value: T} | {readonly error: string};

/** The result of a query by its key; a failure is shown and not thrown. */
export class Loaded<T> {
  private readonly memo = new AsyncMemo<Outcome<T>>();

  /** Whether what is shown is not (or no more) what was asked for. */
  isPending = true;

  /** Asks for what the key names when it is a new one; shows what there is. */
  render(
    key: Readonly<Record<string, string | number | bigint | boolean>>,
    compute: () => Promise<T>,
    show: (value: T) => m.Children,
  ): m.Children {
    const result = this.memo.use({
      key: {...key},
      compute: () => attempt(compute),
    });
    this.isPending = result.isPending;
    const {data} = result;
    if (data === undefined) return m('.pf-dmabuf-empty', 'Loading…');
    if ('error' in data) return m('.pf-dmabuf-error', data.error);
    return show(data.value);
  }
}

async function attempt<T>(compute: () => Promise<T>): Promise<Outcome<T>> {
  try {
    return {value: await compute()};
  } catch (error) {
    return {error: error instanceof Error ? error.message : String(error)};
  }
}
