// SPDX-License-Identifier: Apache-2.0
// The UI has such a class since v58, but no object in the page leads to it.
import type * as ui from '../../../api/base/async_memo';
import m from '../mithril';

interface Outcome<T> {
  readonly key: string;
  readonly fields: Readonly<Record<string, string>>;
  readonly data?: T;
  readonly error?: unknown;
}

/** The last result of an asynchronous function; see the UI's AsyncMemo. */
export class AsyncMemo<T> implements ui.AsyncMemo<T> {
  private last: Outcome<T> | undefined;
  private pendingKey: string | undefined;

  use<K extends object>(
    options: ui.AsyncMemoOptions<T, K>,
  ): ui.AsyncMemoResult<T> {
    const fields = fieldsOf(options.key);
    const key = JSON.stringify(fields);
    if (this.last?.key === key) {
      if ('error' in this.last) throw this.last.error;
      return {isPending: false, data: this.last.data as T};
    }
    if (this.pendingKey !== key && (options.enabled ?? true)) {
      this.pendingKey = key;
      void this.compute(key, fields, options.compute);
    }
    const free: ReadonlyArray<PropertyKey> = options.retainOn ?? [];
    const last = this.last;
    const isClose =
      last !== undefined &&
      Object.keys(fields).every(
        (name) => free.includes(name) || fields[name] === last.fields[name],
      );
    return isClose && last.data !== undefined
      ? {isPending: true, data: last.data}
      : {isPending: true};
  }

  private async compute(
    key: string,
    fields: Readonly<Record<string, string>>,
    compute: () => Promise<T>,
  ): Promise<void> {
    let outcome: Outcome<T>;
    try {
      outcome = {key, fields, data: await compute()};
    } catch (error) {
      outcome = {key, fields, error};
    }
    // Another key was asked for meanwhile.
    if (this.pendingKey !== key) return;
    this.pendingKey = undefined;
    this.last = outcome;
    m.redraw();
  }
}

function fieldsOf(key: object): Record<string, string> {
  return Object.fromEntries(
    Object.entries(key).map(([name, value]) => [name, textOf(value)]),
  );
}

function textOf(value: unknown): string {
  const text: string | undefined = JSON.stringify(value, (_name, part) =>
    typeof part === 'bigint' ? `${part}n` : (part as unknown),
  );
  return text ?? '';
}
