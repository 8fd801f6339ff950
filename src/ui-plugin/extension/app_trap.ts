// SPDX-License-Identifier: Apache-2.0

/**
 * Calls back with `window.app`: at once where it is there, else the moment that
 * the page sets it, before the page goes on. No polling: whoever comes a moment
 * later finds the UI's plugins already started.
 *
 * The property is the page's own again afterwards.
 */
export function whenAppIsSet(
  page: object,
  callback: (app: unknown) => void,
): void {
  const present: unknown = Reflect.get(page, 'app');
  // An element with the id `app` is a window's property too.
  if (present !== undefined && !(present instanceof EventTarget)) {
    callback(present);
    return;
  }
  Object.defineProperty(page, 'app', {
    configurable: true,
    enumerable: false,
    get: () => undefined,
    set(app: unknown) {
      Object.defineProperty(page, 'app', {
        configurable: true,
        enumerable: true,
        writable: true,
        value: app,
      });
      callback(app);
    },
  });
}
