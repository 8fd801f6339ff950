// SPDX-License-Identifier: Apache-2.0
// The language of conformance scripts: one operation a line, in the words of
// the device lab's puppet (test/device-lab/puppet/puppet.c says what each one
// does), so that a failing script can be pasted into `puppet do -` as it is.
import type {RawText} from '../../src/core/model/text.js';

/** What an ioctl is given: a string, a struct of flags, or a null pointer. */
export type IoctlPayload =
  {readonly text: RawText} | {readonly flags: number} | undefined;

export type Access = 'r' | 'w' | 'rw';

interface OfActor {
  readonly actor: string;
}

interface OfHolding extends OfActor {
  /** The buffer's label. */
  readonly label: string;
}

/** One type for each verb, so that a switch can tell them apart. */
type OfActorAlone<Verb> = Verb extends string
  ? OfActor & {readonly verb: Verb}
  : never;

/** One step of a script. Sizes, lengths and offsets are in bytes. */
export type Operation =
  | (OfActor & {
      readonly verb: 'spawn';
      readonly uid: number | undefined;
      readonly comm: RawText | undefined;
    })
  | (OfActor & {
      readonly verb: 'fork';
      readonly child: string;
      readonly comm: RawText | undefined;
    })
  | (OfActor & {readonly verb: 'comm'; readonly comm: RawText})
  | OfActorAlone<'exec' | 'exit' | 'kill' | 'zombie' | 'reap'>
  | (OfHolding & {
      readonly verb: 'alloc';
      readonly exporter: string;
      readonly sizeBytes: number;
      readonly name: RawText | undefined;
      /** How the descriptor is opened; udmabuf does not ask. */
      readonly access: Access;
    })
  | (OfHolding & {
      readonly verb: 'dup2';
      /** The buffer whose newest descriptor is replaced. */
      readonly over: string;
    })
  | (OfHolding & {
      readonly verb: 'split';
      /** Of the mapping; there must be others on both sides of it. */
      readonly page: number;
      readonly protection: 'none' | 'r' | 'rw';
    })
  | (OfHolding & {readonly verb: 'punch'; readonly page: number})
  | (OfHolding & {readonly verb: 'name'; readonly name: RawText})
  | (OfHolding & {
      readonly verb: 'ioctl';
      readonly request: number;
      readonly payload: IoctlPayload;
      /** In place of a descriptor of the buffer. */
      readonly fd: number | undefined;
    })
  | (OfHolding & {
      readonly verb: 'seek';
      readonly offset: number;
      readonly whence: 'set' | 'current' | 'end';
      readonly fd: number | undefined;
    })
  | (OfHolding & {
      readonly verb: 'dup';
      readonly lowest: number;
      readonly closeOnExec: boolean;
    })
  | (OfHolding & {
      readonly verb: 'map';
      readonly offset: number;
      /** undefined: all that follows the offset. */
      readonly length: number | undefined;
      readonly writable: boolean;
    })
  | (OfHolding & {
      readonly verb: 'close';
      readonly which: 'newest' | 'all' | number;
    })
  | (OfHolding & {
      readonly verb: 'send' | 'sendhold';
      readonly to: string;
    })
  | (OfHolding & {
      readonly verb:
        | 'receive'
        | 'unmap'
        | 'import'
        | 'drop-import'
        | 'thread-private'
        | 'thread-exit';
    });

export type Script = readonly Operation[];

/** A line that is no operation. */
export class ScriptError extends Error {
  override readonly name = 'ScriptError';

  constructor(line: string, why: string) {
    super(`'${line}': ${why}`);
  }
}

/** Text as the puppet reads it: plain, or in hex where that would not do. */
function renderText(text: RawText): string {
  return /^[A-Za-z0-9_.-]+$/.test(text)
    ? text
    : `hex:${Buffer.from(text, 'latin1').toString('hex')}`;
}

function option(
  key: string,
  value: string | number | undefined,
  standard?: string | number,
): string {
  return value === undefined || value === standard ? '' : ` ${key}=${value}`;
}

function textOption(key: string, text: RawText | undefined): string {
  return option(key, text === undefined ? undefined : renderText(text));
}

/** The operation as a line, without the newline. */
export function renderOperation(operation: Operation): string {
  const {verb, actor} = operation;
  const line = `${verb} ${actor}`;
  switch (operation.verb) {
    case 'spawn':
      return (
        line + option('uid', operation.uid) + textOption('comm', operation.comm)
      );
    case 'fork':
      return `${line} ${operation.child}${textOption('comm', operation.comm)}`;
    case 'comm':
      return `${line} ${renderText(operation.comm)}`;
    case 'exec':
    case 'exit':
    case 'kill':
    case 'zombie':
    case 'reap':
      return line;
    case 'send':
    case 'sendhold':
      return `${line} ${operation.to} ${operation.label}`;
  }
  const held = `${line} ${operation.label}`;
  switch (operation.verb) {
    case 'alloc':
      return (
        held +
        option('exporter', operation.exporter) +
        option('size', operation.sizeBytes) +
        textOption('name', operation.name) +
        option('access', operation.access, 'rw')
      );
    case 'dup2':
      return `${held} ${operation.over}`;
    case 'split':
      return (
        held +
        option('page', operation.page, 1) +
        option('protection', operation.protection, 'r')
      );
    case 'punch':
      return held + option('page', operation.page, 1);
    case 'name':
      return `${held} ${renderText(operation.name)}`;
    case 'ioctl':
      return (
        `${held} 0x${operation.request.toString(16)}` +
        renderPayload(operation.payload) +
        option('fd', operation.fd)
      );
    case 'seek':
      return (
        `${held} ${operation.offset} ${operation.whence}` +
        option('fd', operation.fd)
      );
    case 'dup':
      return (
        held +
        option('fd', operation.lowest, 0) +
        option('cloexec', operation.closeOnExec ? 1 : 0, 1)
      );
    case 'map':
      return (
        held +
        option('offset', operation.offset, 0) +
        option('length', operation.length) +
        option('protection', operation.writable ? 'rw' : 'r', 'rw')
      );
    case 'close':
      return held + renderWhich(operation.which);
    default:
      return held;
  }
}

function renderPayload(payload: IoctlPayload): string {
  if (payload === undefined) return '';
  return 'text' in payload
    ? textOption('text', payload.text)
    : option('flags', payload.flags);
}

function renderWhich(which: 'newest' | 'all' | number): string {
  if (which === 'newest') return '';
  return which === 'all' ? ' all' : ` fd=${which}`;
}

/** The script as lines, each ended by a newline. */
export function renderScript(script: Script): string {
  return script.map((each) => `${renderOperation(each)}\n`).join('');
}

/** A line in its words and options. */
class Line {
  private readonly words: string[];
  private readonly options = new Map<string, string>();

  constructor(readonly text: string) {
    const parts = text.split(' ').filter((part) => part !== '');
    this.words = parts.filter((part) => !part.includes('='));
    for (const part of parts) {
      const equals = part.indexOf('=');
      if (equals < 0) continue;
      this.options.set(part.slice(0, equals), part.slice(equals + 1));
    }
  }

  word(what: string): string {
    const word = this.words.shift();
    if (word === undefined) throw new ScriptError(this.text, `no ${what}`);
    return word;
  }

  optionalWord(): string | undefined {
    return this.words.shift();
  }

  option(key: string): string | undefined {
    const value = this.options.get(key);
    this.options.delete(key);
    return value;
  }

  number(key: string): number | undefined {
    const value = this.option(key);
    return value === undefined ? undefined : this.toNumber(value);
  }

  toNumber(value: string): number {
    const number = Number(value);
    if (Number.isSafeInteger(number)) return number;
    throw new ScriptError(this.text, `'${value}' is no whole number`);
  }

  toText(value: string): RawText {
    if (!value.startsWith('hex:')) return value;
    const digits = value.slice(4);
    if (/^([0-9a-fA-F]{2})*$/.test(digits)) {
      return Buffer.from(digits, 'hex').toString('latin1');
    }
    throw new ScriptError(this.text, `'${digits}' are no hex digits`);
  }

  textOption(key: string): RawText | undefined {
    const value = this.option(key);
    return value === undefined ? undefined : this.toText(value);
  }

  /** Nothing may be left over. */
  finish(): void {
    const left = [...this.words, ...this.options.keys()];
    if (left.length > 0) {
      throw new ScriptError(this.text, `what is '${left.join(' ')}'?`);
    }
  }
}

/** @throws ScriptError */
export function parseOperation(text: string): Operation {
  const line = new Line(text);
  const operation = parseLine(line);
  line.finish();
  return operation;
}

function parseLine(line: Line): Operation {
  const verb = line.word('verb');
  const actor = line.word('actor');
  switch (verb) {
    case 'spawn': {
      const uid = line.number('uid');
      return {verb, actor, uid, comm: line.textOption('comm')};
    }
    case 'fork': {
      const child = line.word('child');
      return {verb, actor, child, comm: line.textOption('comm')};
    }
    case 'comm':
      return {verb, actor, comm: line.toText(line.word('comm'))};
    case 'exec':
    case 'exit':
    case 'kill':
    case 'zombie':
    case 'reap':
      return {verb, actor};
    case 'send':
    case 'sendhold':
      return {verb, actor, to: line.word('actor'), label: line.word('label')};
  }
  const label = line.word('label');
  switch (verb) {
    case 'alloc':
      return {
        verb,
        actor,
        label,
        exporter: line.option('exporter') ?? 'auto',
        sizeBytes: line.number('size') ?? 4096,
        name: line.textOption('name'),
        access: parseAccess(line.option('access')),
      };
    case 'dup2':
      return {verb, actor, label, over: line.word('label')};
    case 'split': {
      const protection = line.option('protection');
      return {
        verb,
        actor,
        label,
        page: line.number('page') ?? 1,
        protection: protection === 'none' ? 'none' : parsePages(protection),
      };
    }
    case 'punch':
      return {verb, actor, label, page: line.number('page') ?? 1};
    case 'name':
      return {verb, actor, label, name: line.toText(line.word('name'))};
    case 'ioctl':
      return {
        verb,
        actor,
        label,
        request: line.toNumber(line.word('request')),
        payload: parsePayload(line),
        fd: line.number('fd'),
      };
    case 'seek':
      return {
        verb,
        actor,
        label,
        offset: line.toNumber(line.word('offset')),
        whence: parseWhence(line),
        fd: line.number('fd'),
      };
    case 'dup':
      return {
        verb,
        actor,
        label,
        lowest: line.number('fd') ?? 0,
        closeOnExec: line.number('cloexec') !== 0,
      };
    case 'map':
      return {
        verb,
        actor,
        label,
        offset: line.number('offset') ?? 0,
        length: line.number('length'),
        writable: line.option('protection') !== 'r',
      };
    case 'close': {
      const all = line.optionalWord() === 'all';
      const fd = line.number('fd');
      return {verb, actor, label, which: all ? 'all' : (fd ?? 'newest')};
    }
    case 'receive':
    case 'unmap':
    case 'import':
    case 'drop-import':
    case 'thread-private':
    case 'thread-exit':
      return {verb, actor, label};
    default:
      throw new ScriptError(line.text, `no operation is called '${verb}'`);
  }
}

function parseAccess(text: string | undefined): Access {
  return text === 'r' || text === 'w' ? text : 'rw';
}

function parsePages(text: string | undefined): 'r' | 'rw' {
  return text === 'rw' ? 'rw' : 'r';
}

function parsePayload(line: Line): IoctlPayload {
  const text = line.textOption('text');
  if (text !== undefined) return {text};
  const flags = line.number('flags');
  return flags === undefined ? undefined : {flags};
}

function parseWhence(line: Line): 'set' | 'current' | 'end' {
  const whence = line.word('whence');
  if (whence === 'set' || whence === 'current' || whence === 'end') {
    return whence;
  }
  throw new ScriptError(line.text, `'${whence}' is no place to seek from`);
}

/**
 * A script of lines; blank ones and those that begin with '#' are passed over.
 *
 * @throws ScriptError
 */
export function parseScript(text: string): Script {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map(parseOperation);
}
