// SPDX-License-Identifier: Apache-2.0
import {MEMBER_NAME} from '../trace/schema.js';
import {fileMember, writeTarArchive, type TarMember} from './tar_archive.js';

/**
 * The first proto trace by name is the one whose clocks the others are brought
 * to; the system trace has many clock snapshots, ours has one.
 */
export const memberName = {
  system: 'system.pftrace',
  ours: MEMBER_NAME,
} as const;

/** Paths of traces of one boot of one device; one of the two may be missing. */
export interface Traces {
  readonly system?: string | undefined;
  readonly ours?: string | undefined;
}

/**
 * Puts traces into an archive that opens as one.
 *
 * @throws as writeTarArchive
 */
export async function writeCombined(
  path: string,
  traces: Traces,
): Promise<void> {
  const members: TarMember[] = [];
  for (const part of ['system', 'ours'] as const) {
    const source = traces[part];
    if (source === undefined) continue;
    members.push(await fileMember(memberName[part], source));
  }
  await writeTarArchive(path, members);
}
