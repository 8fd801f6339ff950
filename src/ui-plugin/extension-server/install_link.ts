// SPDX-License-Identifier: Apache-2.0
import {MODULE} from './server_files.js';

/** Where the files lie that the UI is to fetch. */
export type ServerPlace =
  | {
      readonly type: 'github';
      /** `owner/name` of a public repository. */
      readonly repo: string;
      /** Branch or tag. */
      readonly ref: string;
      /** Folder in it that holds `manifest`, such as `/extension-server`. */
      readonly path: string;
    }
  | {
      readonly type: 'https';
      /** Address of the folder that holds `manifest`. */
      readonly url: string;
    };

/** A place that the UI would refuse. */
export class PlaceError extends Error {
  override readonly name = 'PlaceError';
}

/**
 * The link that adds the server to somebody's UI, after a question to them: the
 * one that the UI's own "share" gives.
 *
 * @param ui address of the UI.
 * @throws PlaceError
 */
export function installLink(
  place: ServerPlace,
  ui = 'https://ui.perfetto.dev',
): string {
  check(place);
  const server = {
    ...place,
    enabledModules: [MODULE],
    enabled: true,
    auth: {type: 'none'},
  };
  const text = Buffer.from(JSON.stringify(server)).toString('base64');
  return (
    `${ui.replace(/\/+$/, '')}/#!/?dev.perfetto.ExtensionServers:addServer=` +
    encodeURIComponent(text)
  );
}

function check(place: ServerPlace): void {
  if (place.type === 'github') {
    if (!/^[\w.-]+\/[\w.-]+$/.test(place.repo)) {
      throw new PlaceError(
        `${JSON.stringify(place.repo)} is no repository: give OWNER/NAME`,
      );
    }
    if (place.ref === '') {
      throw new PlaceError('the branch is empty: give a branch or tag');
    }
    return;
  }
  const url = URL.canParse(place.url) ? new URL(place.url) : undefined;
  if (url?.protocol !== 'https:') {
    throw new PlaceError(
      `${JSON.stringify(place.url)} is no https:// address, and the UI ` +
        'fetches from no other',
    );
  }
}
