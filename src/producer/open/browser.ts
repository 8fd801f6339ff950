// SPDX-License-Identifier: Apache-2.0
import open from 'open';

/**
 * Opens a page in the user's browser. Resolves to whether that went well as
 * far as can be told: some systems only tell when the browser is closed again.
 */
export async function openInBrowser(
  url: string,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<boolean> {
  if (!mayHaveBrowser(process.platform, env)) return false;
  try {
    const child = await open(url);
    return await new Promise<boolean>((resolve) => {
      child.once('error', () => resolve(false));
      child.once('exit', (code) => resolve(code === 0));
    });
  } catch {
    return false;
  }
}

/** On Linux a browser needs a display, or Windows around it. */
export function mayHaveBrowser(
  platform: NodeJS.Platform,
  env: Readonly<Record<string, string | undefined>>,
): boolean {
  if (platform !== 'linux') return true;
  return ['DISPLAY', 'WAYLAND_DISPLAY', 'WSL_DISTRO_NAME'].some(
    (name) => (env[name] ?? '') !== '',
  );
}
