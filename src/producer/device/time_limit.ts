// SPDX-License-Identifier: Apache-2.0

/**
 * The promise's outcome, or the rejection that `expire` makes after `limitMs`.
 * `expire` has to stop the work as well; what it still yields is ignored.
 */
export async function withTimeLimit<T>(
  work: PromiseLike<T>,
  limitMs: number,
  expire: () => Error,
): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(expire()), limitMs);
  });
  try {
    return await Promise.race([work, limit]);
  } finally {
    clearTimeout(timer);
  }
}

export function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
