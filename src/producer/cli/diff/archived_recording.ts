// SPDX-License-Identifier: Apache-2.0
import {createReadStream, createWriteStream} from 'node:fs';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {pipeline} from 'node:stream/promises';
import {extract} from 'tar-stream';
import {memberName} from '../../archive/combined.js';
import {
  readRecording,
  TraceReadError,
  type Recording,
} from '../../trace/index.js';

const TAR_MAGIC_OFFSET = 257;

/** Whether a file that begins like this is a tar archive. */
export function looksLikeTar(head: string): boolean {
  return head.startsWith('ustar', TAR_MAGIC_OFFSET);
}

/**
 * As readRecording, from the archive that a recording with a system trace is.
 *
 * @throws TraceReadError
 */
export async function readArchivedRecording(
  path: string,
  options: Parameters<typeof readRecording>[1],
): Promise<Recording> {
  const folder = await mkdtemp(join(tmpdir(), 'perfetto-dmabuf-'));
  const copy = join(folder, memberName.ours);
  try {
    await copyRecording(path, copy);
    return await readRecording(copy, options);
  } catch (error) {
    if (!(error instanceof TraceReadError)) throw error;
    const where = `${path}, ${memberName.ours}`;
    throw new TraceReadError(error.message.replaceAll(copy, where), {
      cause: error,
    });
  } finally {
    await rm(folder, {recursive: true, force: true});
  }
}

/** @throws TraceReadError when there is none in it, or not all of it */
async function copyRecording(path: string, copy: string): Promise<void> {
  const members = extract();
  const reading = pipeline(createReadStream(path), members);
  // What is wrong with the archive is also thrown by the loop.
  reading.catch(() => undefined);
  try {
    for await (const member of members) {
      if (member.header.name === memberName.ours) {
        await pipeline(member, createWriteStream(copy));
        return;
      }
      member.resume();
    }
    await reading;
  } catch (error) {
    const {message} = error as Error;
    throw new TraceReadError(`cannot read the archive ${path}: ${message}`, {
      cause: error,
    });
  } finally {
    members.destroy();
  }
  throw new TraceReadError(
    `the archive ${path} has no recording in it (${memberName.ours})`,
  );
}
