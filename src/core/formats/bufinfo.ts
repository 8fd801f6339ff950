// SPDX-License-Identifier: Apache-2.0
/**
 * /sys/kernel/debug/dma_buf/bufinfo: dma_buf_debug_show of
 * drivers/dma-buf/dma-buf.c, 5.3 to 7.x. Newest buffer first (tabs as →):
 *
 *   (empty line)
 *   Dma-buf Objects:
 *   size    →flags   →mode    →count   →exp_name→ino     →name
 *   00024576→00000002→00080007→00000003→system→00000004→renamed-attached
 *   →read fence:vgem unbound seq 1 unsignalled
 *   →Attached Devices:
 *   →vgem
 *   Total 1 devices attached
 *   (empty line)
 *   (empty line)
 *   Total 1 objects, 24576 bytes
 *
 * size, count and ino are decimal, flags and mode hex; count is the number of
 * references to the file, this read's own not among them. The column `name`
 * is in the header since 5.19; kernels before it print the name all the same,
 * and an empty field where there is none, where later ones print `<none>`. 5.3
 * prints `→ERROR locking buffer object: skipping` in place of a buffer whose
 * lock it could not get.
 *
 * The name is up to 31 bytes and nothing in it is escaped. What keeps a forged
 * line apart from a real one: a real buffer's line follows the header or the
 * end of the buffer before, and a buffer ends with as many device lines as its
 * `Total N devices attached` says, below an `Attached Devices:`.
 */
import {UNSET_NAME, type BufferName} from '../model/dma_buf.js';
import type {RawText} from '../model/text.js';
import {NEWLINE, TAB, decimal, detachedSlice, digitsEnd} from './scan.js';
import {TextPool} from './text_pool.js';

export interface Bufinfo {
  /** The header's columns, without padding; empty when there was no header. */
  readonly columns: readonly string[];
  /** As listed: newest first. */
  readonly objects: readonly BufinfoObject[];
  /** The last line; undefined when the text was cut before it. */
  readonly total?: {readonly objects: number; readonly bytes: bigint};
  /** Buffers that the kernel skipped because it could not lock them. */
  readonly lockErrors: number;
  /**
   * What was cut, garbled or ambiguous; empty when all was read. Holds no raw
   * text of the device.
   */
  readonly problems: readonly string[];
}

export interface BufinfoObject {
  readonly sizeBytes: bigint;
  /** O_* of open(2). */
  readonly flags: number;
  /** FMODE_* of the kernel; not a file mode. */
  readonly mode: number;
  /** References to the file: fds, mappings, in flight, the kernel's own. */
  readonly fileCount: bigint;
  readonly exporter: RawText;
  readonly inode: bigint;
  /**
   * raw undefined and doubtful: printed as `<none>` (unset, or so named), or
   * as an empty field by a kernel before 5.19 (unset, or "").
   */
  readonly name: BufferName;
  /** Device names. */
  readonly attachments: readonly RawText[];
  /** Fence lines, without the leading tab. */
  readonly fences: readonly RawText[];
  /**
   * For rendering: the kernel fails to lock this buffer and prints the ERROR
   * line in its place. Never true of a parsed one: such a buffer tells nothing
   * of itself and is counted in `lockErrors`.
   */
  readonly lockError: boolean;
}

const TITLE = 'Dma-buf Objects:\n';
const LOCK_ERROR = '\tERROR locking buffer object: skipping\n';
const ATTACHED = '\tAttached Devices:\n';
const NO_DEVICES = `${ATTACHED}Total 0 devices attached\n\n`;
/** Where most buffers' lines end. */
const PLAIN_END = `\n${NO_DEVICES}`;
const NONE = '<none>';
const NONE_OF_IT: readonly never[] = [];
/** DMA_BUF_NAME_LEN less the final NUL. */
const NAME_MAX = 31;
const MOST_PROBLEMS = 20;

/**
 * Takes any text: whatever is not of the format ends up in `problems`, and the
 * buffers that could be read are kept. Linear in the text's length.
 */
export function parseBufinfo(text: RawText): Bufinfo {
  return new BufinfoParser(text).parse();
}

/**
 * Reads the list again and again. Most buffers are as they were at the reading
 * before: they are the same objects, and are not read anew. The result is
 * always what {@link parseBufinfo} gives.
 */
export class BufinfoReader {
  private known: KnownRecords | undefined = undefined;
  private readonly pool = new TextPool();

  read(text: RawText): Bufinfo {
    const parser = new BufinfoParser(text, this.pool, this.known);
    const bufinfo = parser.parse();
    this.known = parser.records();
    return bufinfo;
  }
}

/** A list that was read, in pieces. */
interface KnownRecords {
  readonly text: RawText;
  /** Where the pieces begin, and where the last one ends. */
  readonly starts: readonly number[];
  /**
   * What the pieces are: the buffer where they are a record without fences and
   * devices, which nothing but its own text decides; else undefined.
   */
  readonly objects: readonly (BufinfoObject | undefined)[];
  /** Of this list and those before it. */
  readonly highestInode: bigint;
}

/** Unchanged records are compared so many at a time, at most. */
const LARGEST_RUN = 64;

/** The fixed fields of a buffer's line. */
interface Head {
  readonly sizeBytes: bigint;
  readonly flags: number;
  readonly mode: number;
  readonly fileCount: bigint;
  readonly exporter: RawText;
  readonly inode: bigint;
  /** Where the name begins. */
  readonly nameStart: number;
  /** False for the first posted form of the format: no field for the name. */
  readonly hasName: boolean;
}

/** Lines of one buffer that look like several: see parseRecord. */
interface Ambiguity {
  /** Index in `objects` of the buffer if it is one. */
  readonly index: number;
  readonly split: readonly BufinfoObject[];
}

class BufinfoParser {
  private readonly objects: BufinfoObject[] = [];
  private readonly ambiguities: Ambiguity[] = [];
  private readonly problems: string[] = [];
  private columns: readonly string[] = [];
  private namesNone = false;
  private lockErrors = 0;
  private strayLines = 0;
  /** Where the buffers end: before the blank line above the total. */
  private end: number;
  private readonly starts: number[] = [];
  /** Undefined while they are the objects. */
  private pieces: (BufinfoObject | undefined)[] | undefined = undefined;
  /** The first known piece that may come yet, and how many to compare. */
  private next = 0;
  private run = 1;
  /** Known pieces by inode; made when they are not in order. */
  private places: ReadonlyMap<bigint, number> | undefined = undefined;
  private highestInode: bigint;

  constructor(
    private readonly text: RawText,
    private readonly pool = new TextPool(),
    private known?: KnownRecords,
  ) {
    this.end = text.length;
    this.highestInode = known?.highestInode ?? 0n;
  }

  parse(): Bufinfo {
    const {text} = this;
    const totalAt = text.lastIndexOf('\nTotal ');
    const total = totalAt < 0 ? undefined : readTotal(text, totalAt);
    if (total !== undefined) this.end = totalAt;

    let pos = this.parseHeader();
    this.forgetOtherForm(pos);
    while (pos < this.end) {
      pos = this.takeKnown(pos) ?? this.parsePiece(pos);
    }
    this.starts.push(pos);

    const objects = this.settleAmbiguities(total);
    this.check(objects, total);
    return {
      columns: this.columns,
      objects,
      ...(total === undefined ? {} : {total}),
      lockErrors: this.lockErrors,
      problems: this.problems,
    };
  }

  /** What was read, for the next reading. */
  records(): KnownRecords {
    const {text, starts, highestInode} = this;
    const objects = this.pieces ?? this.objects;
    return {text, starts, objects, highestInode};
  }

  /** Records are known for a text with the same header only. */
  private forgetOtherForm(start: number): void {
    const {known, text} = this;
    if (known === undefined) return;
    const isSame =
      known.starts[0] === start &&
      known.text.slice(0, start) === text.slice(0, start);
    if (!isSame) this.known = undefined;
  }

  /**
   * Takes records that are as they were; returns where the next piece begins.
   * A record with neither fences nor devices is decided by its own text alone:
   * it reads the same wherever it stands at the beginning of a piece.
   */
  private takeKnown(pos: number): number | undefined {
    const {known} = this;
    if (known === undefined) return undefined;
    const length = this.sameLength(known, pos, this.run);
    if (length === undefined) {
      if (this.run === 1) return undefined;
      this.run = 1;
      return this.takeKnown(pos);
    }
    const moved = pos - (known.starts[this.next] ?? 0);
    const end = this.next + this.run;
    for (; this.next < end; this.next++) {
      const object = known.objects[this.next];
      if (object === undefined) continue;
      this.takeRecord((known.starts[this.next] ?? 0) + moved, object);
    }
    if (this.run < LARGEST_RUN) this.run *= 2;
    return pos + length;
  }

  /** Length of the next `count` known records, if they stand at `pos`. */
  private sameLength(
    {text, starts, objects}: KnownRecords,
    pos: number,
    count: number,
  ): number | undefined {
    const from = starts[this.next];
    const to = starts[this.next + count];
    if (from === undefined || to === undefined) return undefined;
    if (pos + to - from > this.end) return undefined;
    for (let i = this.next; i < this.next + count; i++) {
      if (objects[i] === undefined) return undefined;
    }
    const isSame =
      this.text.slice(pos, pos + to - from) === text.slice(from, to);
    return isSame ? to - from : undefined;
  }

  /** Goes on among the known records with the one of that inode, if any. */
  private seek(inode: bigint): void {
    const {known} = this;
    // Numbers mostly go up: what is above all of them is new.
    if (known === undefined || inode > known.highestInode) return;
    const {objects} = known;
    let low = this.next;
    let high = objects.length;
    while (low < high) {
      let at = (low + high) >> 1;
      while (at < high && objects[at] === undefined) at++;
      const found = at < high ? objects[at]?.inode : undefined;
      if (found === inode) {
        this.next = at;
        return;
      }
      if (found === undefined || found < inode) high = (low + high) >> 1;
      else low = at + 1;
    }
    // Numbers of the shared counter are in no order.
    this.places ??= new Map(
      objects.map((object, i) => [object?.inode ?? -1n, i]),
    );
    this.next = this.places.get(inode) ?? this.next;
  }

  /** At `pos` is a record that nothing but its own text decides. */
  private takeRecord(pos: number, object: BufinfoObject): void {
    this.starts.push(pos);
    this.objects.push(object);
    this.pieces?.push(object);
  }

  /** At `pos` is any other piece. */
  private takeOther(pos: number): void {
    this.starts.push(pos);
    this.pieces ??= [...this.objects];
    this.pieces.push(undefined);
  }

  /** Reads a record or a line; returns where the next piece begins. */
  private parsePiece(pos: number): number {
    const {text} = this;
    const head = readHead(text, pos, this.end, this.pool);
    if (head !== undefined) {
      const {next} = this;
      this.seek(head.inode);
      if (head.inode > this.highestInode) this.highestInode = head.inode;
      if (this.next !== next) {
        const end = this.takeKnown(pos);
        if (end !== undefined) return end;
      }
      // The same buffer, with something else about it.
      if (this.known?.objects[this.next]?.inode === head.inode) this.next++;
      return this.parseRecord(head, pos);
    }
    this.takeOther(pos);
    if (text.startsWith(LOCK_ERROR, pos)) {
      this.lockErrors++;
      return pos + LOCK_ERROR.length;
    }
    this.strayLines++;
    const newline = text.indexOf('\n', pos);
    return newline < 0 ? this.end : newline + 1;
  }

  private parseHeader(): number {
    const {text} = this;
    const title = text.startsWith('\n') ? 1 : 0;
    if (text.startsWith(TITLE, title)) {
      const start = title + TITLE.length;
      const newline = text.indexOf('\n', start);
      if (newline >= 0 && text.startsWith('size ', start)) {
        const header = text.slice(start, newline);
        this.columns = header.split('\t').map((column) => column.trim());
        this.namesNone = this.columns.includes('name');
        if (!this.columns.includes('ino')) {
          this.report(
            'bufinfo has no inodes: the kernel is older than 5.3, and its ' +
              'dma-bufs cannot be told apart',
          );
        }
        return newline + 1;
      }
    }
    this.report('bufinfo does not begin with its header: it is cut or empty');
    return 0;
  }

  /** Reads the buffer whose head is given; returns where the next begins. */
  private parseRecord(head: Head, start: number): number {
    const {text} = this;
    const newline = text.indexOf('\n', head.nameStart);
    if (newline >= 0 && text.startsWith(NO_DEVICES, newline + 1)) {
      // Nearly all buffers: no fence, no device, no newline in the name.
      const name = this.name(head, text.slice(head.nameStart, newline));
      const made = object(head, name, NONE_OF_IT, NONE_OF_IT);
      this.takeRecord(start, made);
      return newline + 1 + NO_DEVICES.length;
    }
    this.takeOther(start);

    const heads = [head];
    /** Starts of the lines below each head; the first of all of them. */
    const lines: number[] = [];
    let lastHeadLine = 0;
    let pos = lineAfter(text, head.nameStart, this.end);
    while (pos < this.end) {
      const devices = readDeviceTotal(text, pos, this.end);
      if (devices !== undefined && hasDevices(text, lines, devices)) {
        const attached = lines.length - 1 - devices;
        this.pushRecord(heads, lines, attached);
        // The line with the total, and the blank one below it.
        return lineAfter(text, pos, this.end) + 1;
      }
      const inner = readHead(text, pos, this.end, this.pool);
      if (inner !== undefined) {
        heads.push(inner);
        lastHeadLine = lines.length + 1;
      }
      lines.push(pos);
      pos = lineAfter(text, pos, this.end);
    }
    this.pushCutRecord(heads, lines, lastHeadLine);
    return this.end;
  }

  /**
   * A record that ended as it should, with lines[attached] its "Attached
   * Devices:". More than one head in it: either a name that forges a buffer's
   * line (more than the kernel's 31 bytes allow) or text that was lost between
   * two buffers. Only the kernel's total can tell.
   */
  private pushRecord(
    heads: readonly Head[],
    lines: readonly number[],
    attached: number,
  ): void {
    const {text} = this;
    const devices = lines
      .slice(attached + 1)
      .map((start) => this.lineText(start + 1));
    const end = (lines[attached] ?? this.end) - 1;
    const [first, last] = [heads[0], heads.at(-1)];
    if (first === undefined || last === undefined) return;
    const whole = this.nameAndFences(first, end);
    if (heads.length === 1) {
      this.objects.push(object(first, whole.name, whole.fences, devices));
      return;
    }
    const merged = {
      raw: detachedSlice(text, first.nameStart, end),
      doubtful: true,
    };
    this.ambiguities.push({
      index: this.objects.length,
      split: heads.map((head) => {
        if (head !== last) return this.torn(head);
        const {name, fences} = this.nameAndFences(head, end);
        return object(head, name, fences, devices);
      }),
    });
    this.objects.push(object(first, merged, [], devices));
  }

  /** A record that the text's end, or lost text, cuts off. */
  private pushCutRecord(
    heads: readonly Head[],
    lines: readonly number[],
    lastHeadLine: number,
  ): void {
    const last = heads.at(-1);
    if (last === undefined) return;
    this.report(
      `bufinfo is cut in the buffer with inode ${last.inode}: its name, ` +
        'fences and devices are uncertain',
    );
    for (const head of heads.slice(0, -1)) this.objects.push(this.torn(head));
    const fences: RawText[] = [];
    for (const start of lines.slice(lastHeadLine)) {
      const line = this.lineText(start);
      if (!isFence(line)) break;
      fences.push(line.slice(1));
    }
    this.objects.push({...this.torn(last), fences});
  }

  /** A buffer of which only the line is sure, and the name is not. */
  private torn(head: Head): BufinfoObject {
    const name = this.name(head, this.lineText(head.nameStart));
    const {raw} = name;
    return object(head, head.hasName ? {raw, doubtful: true} : name, [], []);
  }

  /**
   * Splits what stands between a head and its "Attached Devices:" ([nameStart,
   * end), without the last newline) into the name and the fence lines.
   */
  private nameAndFences(
    head: Head,
    end: number,
  ): {name: BufferName; fences: RawText[]} {
    const {text} = this;
    const newline = text.indexOf('\n', head.nameStart);
    if (newline >= end || newline < 0) {
      const raw = text.slice(head.nameStart, end);
      return {name: this.name(head, raw), fences: []};
    }
    const lines = text.slice(head.nameStart, end).split('\n');
    if (!head.hasName) {
      const fences = lines
        .slice(1)
        .map((line) => detachedSlice(line, 1, line.length));
      return {name: UNSET_NAME, fences};
    }
    const {lines: count, doubtful} = nameLines(lines);
    const raw = lines.slice(0, count).join('\n');
    const name = this.name(head, raw);
    return {
      name: doubtful ? {raw: name.raw, doubtful: true} : name,
      fences: lines
        .slice(count)
        .map((line) => detachedSlice(line, 1, line.length)),
    };
  }

  private name(head: Head, raw: RawText): BufferName {
    if (!head.hasName) return UNSET_NAME;
    // What both an unset name and one of these letters look like.
    const unset = this.namesNone ? NONE : '';
    if (raw === unset) return {raw: undefined, doubtful: true};
    // Without a header it may be either.
    if (raw === NONE && this.columns.length === 0) {
      return {raw: undefined, doubtful: true};
    }
    return this.pool.name(raw, 0, raw.length);
  }

  private lineText(start: number): RawText {
    const newline = this.text.indexOf('\n', start);
    const end = newline < 0 ? this.end : Math.min(newline, this.end);
    return detachedSlice(this.text, start, end);
  }

  /** Chooses, for all ambiguities alike, what agrees with the total. */
  private settleAmbiguities(total: Bufinfo['total']): BufinfoObject[] {
    const {ambiguities, objects} = this;
    if (ambiguities.length === 0) return objects;
    if (total !== undefined && agrees(objects, total)) {
      this.report(
        `${ambiguities.length} names in bufinfo forge the line of another ` +
          'buffer: the total shows that these buffers do not exist',
      );
      return objects;
    }
    const split: BufinfoObject[] = [];
    let done = 0;
    for (const ambiguity of ambiguities) {
      for (; done < ambiguity.index; done++) {
        const object = objects[done];
        if (object !== undefined) split.push(object);
      }
      for (const object of ambiguity.split) split.push(object);
      done++;
    }
    for (const object of objects.slice(done)) split.push(object);
    this.report(
      `text was lost in ${ambiguities.length} places of bufinfo: some ` +
        'buffers miss their names, fences and devices',
    );
    return split;
  }

  private check(
    objects: readonly BufinfoObject[],
    total: Bufinfo['total'],
  ): void {
    if (this.strayLines > 0) {
      this.report(`bufinfo has ${this.strayLines} lines of no known form`);
    }
    if (this.lockErrors > 0) {
      this.report(
        `the kernel could not lock ${this.lockErrors} buffers and left them ` +
          'out of bufinfo',
      );
    }
    if (total === undefined) {
      this.report(
        `bufinfo is cut: its total is missing after ${objects.length} buffers`,
      );
    } else if (!agrees(objects, total)) {
      this.report(
        `bufinfo says ${total.objects} buffers with ${total.bytes} bytes, ` +
          `but lists ${objects.length} with ${sumBytes(objects)}`,
      );
    }
  }

  private report(problem: string): void {
    if (this.problems.length < MOST_PROBLEMS) this.problems.push(problem);
  }
}

function object(
  head: Head,
  name: BufferName,
  fences: readonly RawText[],
  attachments: readonly RawText[],
): BufinfoObject {
  return {
    sizeBytes: head.sizeBytes,
    flags: head.flags,
    mode: head.mode,
    fileCount: head.fileCount,
    exporter: head.exporter,
    inode: head.inode,
    name,
    attachments,
    fences,
    lockError: false,
  };
}

function sumBytes(objects: readonly BufinfoObject[]): bigint {
  let sum = 0;
  for (const {sizeBytes} of objects) sum += Number(sizeBytes);
  // Sizes add up, so that a sum that is exact now was exact all along.
  return Number.isSafeInteger(sum)
    ? BigInt(sum)
    : objects.reduce((sum, {sizeBytes}) => sum + sizeBytes, 0n);
}

function agrees(
  objects: readonly BufinfoObject[],
  total: {readonly objects: number; readonly bytes: bigint},
): boolean {
  return objects.length === total.objects && sumBytes(objects) === total.bytes;
}

/** Start of the next line, at most `end`. */
function lineAfter(text: RawText, pos: number, end: number): number {
  const newline = text.indexOf('\n', pos);
  return newline < 0 || newline >= end ? end : newline + 1;
}

/**
 * How many of the lines are the name; the others are fences. A name may end at
 * each newline below which all lines are fences, and within its 31 bytes: if
 * that leaves more than one end, the name (the shortest) is doubtful.
 */
function nameLines(lines: readonly RawText[]): {
  lines: number;
  doubtful: boolean;
} {
  let fewest = fewestNameLines(lines, isFence);
  let known = true;
  if (nameLength(lines, fewest) > NAME_MAX) {
    // Fences of a form not known here, if they are no name of 32 or more.
    const other = fewestNameLines(lines, (line) => line.startsWith('\t'));
    if (nameLength(lines, other) <= NAME_MAX) fewest = other;
    known = false;
  }
  const longer =
    fewest < lines.length && nameLength(lines, fewest + 1) <= NAME_MAX;
  return {lines: fewest, doubtful: !known || longer};
}

function fewestNameLines(
  lines: readonly RawText[],
  isOther: (line: RawText) => boolean,
): number {
  let count = lines.length;
  while (count > 1 && isOther(lines[count - 1] ?? '')) count--;
  return count;
}

function nameLength(lines: readonly RawText[], count: number): number {
  let length = count - 1;
  for (let i = 0; i < count; i++) length += lines[i]?.length ?? 0;
  return length;
}

const FENCE =
  /^\t(?:Exclusive|Shared|kernel|write|read|bookkeep|other) fence:[^]*signalled$/;

function isFence(line: RawText): boolean {
  return FENCE.test(line);
}

/** N of `Total N devices attached` and an empty line, at `pos`. */
function readDeviceTotal(
  text: RawText,
  pos: number,
  end: number,
): number | undefined {
  if (!text.startsWith('Total ', pos)) return undefined;
  const start = pos + 'Total '.length;
  const numberEnd = digitsEnd(text, start);
  const rest = ' devices attached\n\n';
  if (
    numberEnd === start ||
    numberEnd - start > 9 ||
    !text.startsWith(rest, numberEnd) ||
    numberEnd + rest.length > end
  ) {
    return undefined;
  }
  return Number(text.slice(start, numberEnd));
}

/** Whether the last lines are "Attached Devices:" and `count` devices. */
function hasDevices(
  text: RawText,
  lines: readonly number[],
  count: number,
): boolean {
  const attached = lines[lines.length - 1 - count];
  if (attached === undefined || !text.startsWith(ATTACHED, attached)) {
    return false;
  }
  for (let i = lines.length - count; i < lines.length; i++) {
    if (text.charCodeAt(lines[i] ?? 0) !== TAB) return false;
  }
  return true;
}

/** `\nTotal N objects, M bytes\n`, the very end of the text, at `pos`. */
function readTotal(text: RawText, pos: number): Bufinfo['total'] {
  const match = /^\nTotal (\d{1,9}) objects, (\d{1,20}) bytes\n$/.exec(
    text.slice(pos, pos + 80),
  );
  return match?.[1] === undefined || match[2] === undefined
    ? undefined
    : {objects: Number(match[1]), bytes: BigInt(match[2])};
}

/**
 * The fixed fields of a buffer's line at `pos`, printed by
 * "%08zu\t%08x\t%08x\t%08ld\t%s\t%08lu\t%s\n"; undefined if they are not
 * exactly that. Short of a whole line nothing passes: a name has 31 bytes, and
 * these fields have 45 and more.
 */
function readHead(
  text: RawText,
  pos: number,
  end: number,
  pool: TextPool,
): Head | undefined {
  const sizeEnd = padded(text, pos);
  if (sizeEnd < 0 || text.charCodeAt(sizeEnd) !== TAB) return undefined;
  const flags = hex32(text, sizeEnd + 1);
  if (flags < 0 || text.charCodeAt(sizeEnd + 9) !== TAB) return undefined;
  const mode = hex32(text, sizeEnd + 10);
  if (mode < 0 || text.charCodeAt(sizeEnd + 18) !== TAB) return undefined;
  const count = sizeEnd + 19;
  const countEnd = padded(text, count);
  if (countEnd < 0 || text.charCodeAt(countEnd) !== TAB) return undefined;
  const exporter = countEnd + 1;
  const exporterEnd = fieldEnd(text, exporter);
  if (exporterEnd <= exporter) return undefined;
  const inode = exporterEnd + 1;
  const inodeEnd = padded(text, inode);
  if (inodeEnd < 0 || inodeEnd >= end) return undefined;
  const after = text.charCodeAt(inodeEnd);
  if (after !== TAB && after !== NEWLINE) return undefined;
  return {
    sizeBytes: decimal(text, pos, sizeEnd),
    flags,
    mode,
    fileCount: decimal(text, count, countEnd),
    exporter: pool.slice(text, exporter, exporterEnd),
    inode: decimal(text, inode, inodeEnd),
    nameStart: after === TAB ? inodeEnd + 1 : inodeEnd,
    hasName: after === TAB,
  };
}

/** End of the number printed by %08lu at `pos`; -1 if there is none. */
function padded(text: RawText, pos: number): number {
  const end = digitsEnd(text, pos);
  const length = end - pos;
  if (length < 8 || length > 20) return -1;
  // Longer than the padding: then nothing is padded.
  return length > 8 && text.charCodeAt(pos) === 0x30 ? -1 : end;
}

/** The number printed by %08x at `pos`; -1 if there is none. */
function hex32(text: RawText, pos: number): number {
  let value = 0;
  for (let i = pos; i < pos + 8; i++) {
    const code = text.charCodeAt(i);
    let digit: number;
    if (code >= 0x30 && code <= 0x39) digit = code - 0x30;
    else if (code >= 0x61 && code <= 0x66) digit = code - 0x57;
    else return -1;
    value = value * 16 + digit;
  }
  return value;
}

/** Longest exporter name that is looked for: KBUILD_MODNAME or a heap's. */
const EXPORTER_MAX = 256;

/** The tab that ends the field at `pos`; -1 if its line ends before. */
function fieldEnd(text: RawText, pos: number): number {
  for (let i = pos; i < pos + EXPORTER_MAX; i++) {
    const code = text.charCodeAt(i);
    if (code === TAB) return i;
    // NaN: the end of the text.
    if (code === NEWLINE || Number.isNaN(code)) return -1;
  }
  return -1;
}

/**
 * The same list with names replaced where another source of the same moment
 * knows better (fdinfo, readlink, maps). Buffers that share their inode with
 * another (before 5.18) keep what they have.
 */
export function settleNames(
  bufinfo: Bufinfo,
  names: ReadonlyMap<bigint, BufferName>,
): Bufinfo {
  const seen = new Set<bigint>();
  const shared = new Set<bigint>();
  for (const {inode} of bufinfo.objects) {
    if (seen.has(inode)) shared.add(inode);
    seen.add(inode);
  }
  const printsNone = bufinfo.columns.includes('name');
  const objects = bufinfo.objects.map((object) => {
    const other = names.get(object.inode);
    if (!object.name.doubtful || other === undefined) return object;
    if (shared.has(object.inode)) return object;
    return {...object, name: settleName(object.name, other, printsNone)};
  });
  return {...bufinfo, objects};
}

function settleName(
  name: BufferName,
  other: BufferName,
  printsNone: boolean,
): BufferName {
  if (!other.doubtful) return other;
  if (name.raw === undefined && other.raw === undefined) {
    // Unset or "<none>" says bufinfo, unset or "" says the path.
    return printsNone ? UNSET_NAME : name;
  }
  // Two texts with different ambiguities agree.
  if (name.raw === other.raw) return {raw: name.raw, doubtful: false};
  return name.raw === undefined ? other : name;
}

/** How a kernel prints bufinfo. */
export interface BufinfoDialect {
  /** `name` is in the header, and an unset name is `<none>` (5.19). */
  readonly nameColumn: boolean;
  /** False for the first posted form of the patch only. */
  readonly nameField: boolean;
  /** A buffer that cannot be locked is skipped with a line that says so. */
  readonly lockErrors: boolean;
  readonly fences: FenceForm;
}

export type FenceForm =
  /** `Exclusive fence: DRIVER TIMELINE signalled` */
  | 'exclusive'
  /** `Exclusive fence:DRIVER TIMELINE seq N signalled` (5.17) */
  | 'exclusive-seq'
  /** `write fence:DRIVER TIMELINE seq N signalled` (5.19) */
  | 'usage-seq'
  /** `write fence:CONTEXT:SEQNO TIMELINE DRIVER unsignalled` (7.0) */
  | 'usage-context';

/** The list as first posted in 2019: inodes, and no names yet. */
export const BUFINFO_RFC_V1: BufinfoDialect = {
  nameColumn: false,
  nameField: false,
  lockErrors: true,
  fences: 'exclusive',
};

/**
 * How the kernel of this version (`6.1`, `6.12.95+deb12-amd64`) prints it; a
 * text that is no version is taken for the newest. The versions are those of
 * the patches' dates; stable kernels may have them earlier. Parsing does not
 * need it.
 */
export function bufinfoDialect(kernelVersion: string): BufinfoDialect {
  const match = /^(\d{1,4})\.(\d{1,4})/.exec(kernelVersion) ?? undefined;
  const number =
    match === undefined
      ? Infinity
      : Number(match[1]) * 10_000 + Number(match[2]);
  const since = (major: number, minor: number): boolean =>
    number >= major * 10_000 + minor;
  let fences: FenceForm = 'exclusive';
  if (since(7, 0)) fences = 'usage-context';
  else if (since(5, 19)) fences = 'usage-seq';
  else if (since(5, 17)) fences = 'exclusive-seq';
  return {
    nameColumn: since(5, 19),
    nameField: true,
    lockErrors: !since(5, 5),
    fences,
  };
}

/** A fence on a buffer, as dma_fence_describe knows it. */
export interface BufinfoFence {
  readonly usage: 'kernel' | 'write' | 'read' | 'bookkeep';
  readonly driver: RawText;
  readonly timeline: RawText;
  readonly context: bigint;
  readonly seqno: bigint;
  readonly signalled: boolean;
}

/** A line of BufinfoObject.fences. */
export function renderFence(
  fence: BufinfoFence,
  dialect: BufinfoDialect,
): RawText {
  const {usage, driver, timeline, context, seqno, signalled} = fence;
  const alone = usage === 'kernel' || usage === 'write';
  const old = alone ? 'Exclusive' : 'Shared';
  const state = signalled ? 'signalled' : 'unsignalled';
  switch (dialect.fences) {
    case 'exclusive':
      return `${old} fence: ${driver} ${timeline} ${state}`;
    case 'exclusive-seq':
      return `${old} fence:${driver} ${timeline} seq ${seqno} ${state}`;
    case 'usage-seq':
      return `${usage} fence:${driver} ${timeline} seq ${seqno} ${state}`;
    case 'usage-context': {
      // Names of a signalled fence are not looked up.
      const names = signalled ? ' ' : `${timeline} ${driver}`;
      return `${usage} fence:${context}:${seqno} ${names} ${state}`;
    }
  }
}

/** The whole file, as a kernel of that dialect prints it. */
export function renderBufinfo(
  objects: Iterable<BufinfoObject>,
  dialect: BufinfoDialect,
): RawText {
  let text = renderBufinfoHeader(dialect);
  let count = 0;
  let bytes = 0n;
  for (const object of objects) {
    text += renderBufinfoObject(object, dialect);
    if (isSkipped(object, dialect)) continue;
    count++;
    bytes += object.sizeBytes;
  }
  return text + renderBufinfoTotal(count, bytes);
}

/** What the file begins with. */
export function renderBufinfoHeader(dialect: BufinfoDialect): RawText {
  const columns = ['size', 'flags', 'mode', 'count'].map((c) => c.padEnd(8));
  columns.push('exp_name', 'ino'.padEnd(8));
  if (dialect.nameColumn) columns.push('name');
  return `\n${TITLE}${columns.join('\t')}\n`;
}

/** What the file ends with; buffers that were skipped do not count. */
export function renderBufinfoTotal(count: number, bytes: bigint): RawText {
  return `\nTotal ${count} objects, ${bytes} bytes\n`;
}

/** What is printed of a buffer: numbers too, where they are exact. */
export interface BufinfoFields extends Omit<
  BufinfoObject,
  'sizeBytes' | 'fileCount' | 'inode' | 'name'
> {
  readonly sizeBytes: bigint | number;
  readonly fileCount: bigint | number;
  readonly inode: bigint | number;
  readonly name: {readonly raw: RawText | undefined};
}

/** One buffer's lines, or that it was skipped. */
export function renderBufinfoObject(
  object: BufinfoFields,
  dialect: BufinfoDialect,
): RawText {
  return isSkipped(object, dialect)
    ? LOCK_ERROR
    : renderObject(object, dialect);
}

function isSkipped(
  object: {readonly lockError: boolean},
  dialect: BufinfoDialect,
): boolean {
  return object.lockError && dialect.lockErrors;
}

function renderObject(object: BufinfoFields, dialect: BufinfoDialect): RawText {
  const {fences, attachments} = object;
  const unset = dialect.nameColumn ? NONE : '';
  const isPlain = fences.length + attachments.length === 0;
  const parts = [
    pad8(object.sizeBytes),
    '\t',
    hex8(object.flags),
    '\t',
    hex8(object.mode),
    '\t',
    pad8(object.fileCount),
    '\t',
    object.exporter,
    '\t',
    pad8(object.inode),
    dialect.nameField ? '\t' : '',
    dialect.nameField ? (object.name.raw ?? unset) : '',
    isPlain ? PLAIN_END : '\n',
  ];
  // By join, which makes one flat text: it may be kept.
  if (isPlain) return parts.join('');
  for (const fence of fences) parts.push('\t', fence, '\n');
  if (attachments.length === 0) {
    parts.push(NO_DEVICES);
  } else {
    parts.push(ATTACHED);
    for (const device of attachments) parts.push('\t', device, '\n');
    parts.push(`Total ${attachments.length} devices attached\n\n`);
  }
  return parts.join('');
}

function pad8(value: bigint | number): string {
  return padded8(`${value}`);
}

function hex8(value: number): string {
  return padded8(value.toString(16));
}

function padded8(digits: string): string {
  return digits.length < 8 ? (ZEROS[digits.length] ?? '') + digits : digits;
}

/** What makes so many digits eight. */
const ZEROS = Array.from({length: 8}, (_, n) => '0'.repeat(8 - n));
