// SPDX-License-Identifier: Apache-2.0
import type {
  AsyncMemoOptions,
  AsyncMemoResult,
} from '../../../../../src/ui-plugin/api/base/async_memo';

export class AsyncMemo<T> {
  private asked: string | undefined;
  private answer: {readonly key: string; readonly data: T} | undefined;
  private failure: {readonly key: string; readonly error: unknown} | undefined;

  use<K extends object>(options: AsyncMemoOptions<T, K>): AsyncMemoResult<T> {
    const key = JSON.stringify(options.key, (_, value: unknown) =>
      typeof value === 'bigint' ? `${value}n` : value,
    );
    if (this.failure?.key === key) throw this.failure.error;
    if (this.asked !== key && options.enabled !== false) {
      this.asked = key;
      void this.compute(key, options.compute);
    }
    const {answer} = this;
    if (answer?.key === key) return {isPending: false, data: answer.data};
    return {isPending: true};
  }

  private async compute(key: string, compute: () => Promise<T>): Promise<void> {
    try {
      const data = await compute();
      if (this.asked === key) this.answer = {key, data};
    } catch (error) {
      this.failure = {key, error};
    }
  }
}
