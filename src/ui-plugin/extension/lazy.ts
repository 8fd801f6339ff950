// SPDX-License-Identifier: Apache-2.0

/**
 * Stands for a class, function or object that is not there yet: it is looked up
 * at each use, and `new`, a call, a static member and `instanceof` all reach it.
 */
export function lazy<T extends object>(resolve: () => T): T {
  // Only a function can be called and constructed.
  const target: object = function () {
    // Never runs: the traps take every call.
  };
  return new Proxy(target, {
    apply: (_target, self, args: unknown[]) =>
      Reflect.apply(asFunction(resolve()), self, args),
    construct: (_target, args: unknown[]) =>
      Reflect.construct(asFunction(resolve()), args) as object,
    get: (_target, name) => Reflect.get(resolve(), name),
    set: (_target, name, value) => Reflect.set(resolve(), name, value),
    has: (_target, name) => Reflect.has(resolve(), name),
  }) as T;
}

type AnyFunction = (...args: unknown[]) => unknown;

function asFunction(value: object): AnyFunction {
  if (typeof value === 'function') return value as AnyFunction;
  throw new TypeError('not a function');
}
