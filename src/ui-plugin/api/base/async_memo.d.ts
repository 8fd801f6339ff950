// SPDX-License-Identifier: Apache-2.0

export interface AsyncMemoOptions<T, K extends object> {
  readonly key: K;
  readonly compute: () => Promise<T>;
  /** Nothing is computed while this is false. */
  readonly enabled?: boolean;
  /** Keys on whose change the last result is still given. */
  readonly retainOn?: (keyof K)[];
}

export type AsyncMemoResult<T> =
  | {readonly isPending: true; readonly data?: T}
  | {readonly isPending: false; readonly data: T};

/** The result of an asynchronous function of a key, asked for at each draw. */
export class AsyncMemo<T> {
  /** @throws what `compute` threw for this key. */
  use<K extends object>(options: AsyncMemoOptions<T, K>): AsyncMemoResult<T>;
}
