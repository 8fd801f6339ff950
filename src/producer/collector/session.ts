// SPDX-License-Identifier: Apache-2.0
import type {RawText} from '../../core/model/index.js';
import {DeviceError, type RawStream} from '../device/device.js';
import {FrameReader, type Frame} from './frames.js';
import {COLLECTOR_VERSION} from './script.js';

/** A step of the collector and its arguments; see script.ts. */
export interface Request {
  readonly step: string;
  readonly args?: readonly (string | number)[];
}

/** The collector's answer to one request. */
export interface Answer {
  readonly step: string;
  readonly status: number;
  /** Empty when the answer is damaged. */
  readonly body: RawText;
  /**
   * What the step's commands said on stderr, for steps that walk /proc;
   * undefined when the answer is damaged.
   */
  readonly errors: RawText | undefined;
  readonly bytes: number;
  /** Bytes that came before it and belong to no answer. */
  readonly strayBytes: number;
  /** What was wrong with the answer; undefined when it came whole. */
  readonly damage: string | undefined;
}

const HELLO = /perfetto-dmabuf collector (\d+) (\d+)(\r?)\n/;
const LONGEST_BANNER = 65536;
/** 100,000 fds are some 4 MB. What is longer than this is no answer. */
const LONGEST_ANSWER = 128 * 1024 * 1024;
/** A shell's status of a command that could not be started, or was killed. */
const NOT_RUN = 126;
const WALKS: ReadonlySet<string> = new Set([
  'fds',
  'links',
  'counts',
  'maps',
  'tables',
  'tablefds',
  'mapfiles',
  'stat',
  'grep',
]);

interface Pending {
  readonly sequence: number;
  readonly request: Request;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: Error) => void;
}

export interface SessionOptions {
  /** Random hex digits that nobody on the device can know beforehand. */
  readonly nonce: string;
  /** Limit for the hello, and for the device's silence while it is asked. */
  readonly timeoutMs: number;
}

/**
 * A running collector: requests in, answers out, in order. Any number of
 * requests may wait at a time.
 */
export class CollectorSession {
  private readonly reader: FrameReader;
  /** In the order in which they were asked. */
  private readonly pending: Pending[] = [];
  private nextSequence = 1;
  /** Runs while answers are awaited; each sign of life starts it anew. */
  private silence: NodeJS.Timeout | undefined;
  private failure: Error | undefined;

  private constructor(
    private readonly stream: RawStream,
    private readonly options: SessionOptions,
    /** pid of the collector's shell on the device. */
    readonly collectorPid: number,
  ) {
    this.reader = new FrameReader(options.nonce);
  }

  /**
   * Waits for the collector's hello on a stream on which its script was just
   * started, and gives it the nonce.
   *
   * @throws DeviceError `refused` when something else answered, `timeout`,
   *     `gone`
   */
  static async start(
    stream: RawStream,
    options: SessionOptions,
  ): Promise<CollectorSession> {
    const chunks = textsOf(stream)[Symbol.asyncIterator]();
    const deadline = timeLimit(options.timeoutMs, () =>
      noHello(options.timeoutMs, text),
    );
    let text = '';
    try {
      for (;;) {
        const next = await Promise.race([chunks.next(), deadline.expired]);
        if (next.done === true) throw endedEarly(text);
        text += next.value;
        const hello = HELLO.exec(text);
        if (hello !== null) {
          if (Number(hello[1]) !== COLLECTOR_VERSION) throw endedEarly(text);
          if (hello[3] !== '') throw notRaw();
          const session = new CollectorSession(
            stream,
            options,
            Number(hello[2]),
          );
          await stream.write(`${options.nonce}\n`);
          void session.pump(chunks);
          return session;
        }
        if (text.length > LONGEST_BANNER) throw endedEarly(text);
      }
    } finally {
      deadline.cancel();
    }
  }

  /**
   * Asks for one step.
   *
   * @throws DeviceError `timeout` when the device says nothing for the
   *     session's limit, `gone` when it or the collector went away, `too-large`
   */
  request(step: string, ...args: (string | number)[]): Promise<Answer> {
    return this.send({step, args});
  }

  /** Asks the collector to end and hangs up. */
  async close(): Promise<void> {
    const end =
      this.failure === undefined
        ? this.stream.write('0 end\n').catch(() => undefined)
        : undefined;
    this.fail(new DeviceError('gone', 'the collector was closed', ''));
    await end;
    await this.stream.close();
  }

  private send(request: Request): Promise<Answer> {
    if (this.failure !== undefined) return Promise.reject(this.failure);
    const sequence = this.nextSequence++;
    const line = [sequence, request.step, ...(request.args ?? [])].join(' ');
    return new Promise((resolve, reject) => {
      this.pending.push({sequence, request, resolve, reject});
      if (this.silence === undefined) this.watch();
      this.stream.write(`${line}\n`).catch((error: unknown) => {
        this.fail(error instanceof Error ? error : new Error(String(error)));
      });
    });
  }

  /** Gives up what is asked when the device says nothing more. */
  private watch(): void {
    const {timeoutMs} = this.options;
    this.silence = setTimeout(() => {
      this.silence = undefined;
      const [first] = this.pending;
      if (first === undefined) return;
      this.rejectAll(
        new DeviceError(
          'timeout',
          `the device did not answer '${first.request.step}' within ` +
            `${timeoutMs / 1000} s`,
          'check the cable and the load of the device, or raise --timeout',
        ),
      );
    }, timeoutMs);
  }

  private async pump(chunks: AsyncIterator<RawText>): Promise<void> {
    try {
      for (;;) {
        const next = await chunks.next();
        if (next.done === true) break;
        this.silence?.refresh();
        for (const frame of this.reader.push(next.value)) this.deliver(frame);
        if (this.reader.pendingBytes > LONGEST_ANSWER) throw tooLong();
      }
      throw new DeviceError(
        'gone',
        'the collector on the device ended' +
          (this.reader.pendingBytes > 0 ? ' in mid-answer' : ''),
        'the device may be going down; attach it and record again',
      );
    } catch (error) {
      this.fail(error instanceof Error ? error : new Error(String(error)));
      // Nobody reads on; a device that goes on writing would wait for ever.
      await this.stream.close().catch(() => undefined);
    }
  }

  /** Answers come in order: those before this one will not come any more. */
  private deliver(frame: Frame): void {
    // The number of a damaged frame may be damaged too.
    const last = this.pending.findIndex(
      ({sequence}) => sequence === frame.sequence,
    );
    if (last === -1) return;
    for (const {sequence, request, resolve} of this.pending.splice(
      0,
      last + 1,
    )) {
      resolve(
        sequence === frame.sequence
          ? toAnswer(request.step, frame, this.options.nonce)
          : damagedAnswer(request.step, 'the answer was lost'),
      );
    }
    if (this.pending.length > 0) return;
    clearTimeout(this.silence);
    this.silence = undefined;
  }

  private fail(error: Error): void {
    this.failure ??= error;
    this.rejectAll(this.failure);
  }

  private rejectAll(error: Error): void {
    clearTimeout(this.silence);
    this.silence = undefined;
    for (const {reject} of this.pending.splice(0)) reject(error);
  }
}

/** What a stream says, each byte one unit. */
function textsOf({texts, chunks}: RawStream): AsyncIterable<RawText> {
  return texts ?? decoded(chunks);
}

async function* decoded(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<RawText> {
  for await (const chunk of chunks) {
    const {buffer, byteOffset, byteLength} = chunk;
    yield Buffer.from(buffer, byteOffset, byteLength).toString('latin1');
  }
}

/** Splits off the trailer `-NONCE STATUS\nERRORS` of a step that walks /proc. */
function toAnswer(step: string, frame: Frame, nonce: string): Answer {
  const {status, body, bytes, strayBytes} = frame;
  const from = {bytes, strayBytes};
  if (frame.damage !== undefined) {
    return damagedAnswer(step, frame.damage, from);
  }
  const whole = {step, status, damage: undefined, ...from};
  if (!WALKS.has(step)) return {...whole, body, errors: ''};
  const mark = `-${nonce} `;
  const at = body.lastIndexOf(mark);
  if (at === -1) {
    return damagedAnswer(step, 'the end of the list is missing', from);
  }
  const lineEnd = body.indexOf('\n', at);
  const end = lineEnd === -1 ? body.length : lineEnd;
  const walked = body.slice(at + mark.length, end);
  if (!/^\d{1,3}$/.test(walked) || Number(walked) >= NOT_RUN) {
    return damagedAnswer(step, 'its command was killed or not started', from);
  }
  return {...whole, body: body.slice(0, at), errors: body.slice(end + 1)};
}

function damagedAnswer(
  step: string,
  damage: string,
  {bytes, strayBytes} = {bytes: 0, strayBytes: 0},
): Answer {
  return {
    step,
    status: 1,
    body: '',
    errors: undefined,
    bytes,
    strayBytes,
    damage,
  };
}

function tooLong(): DeviceError {
  return new DeviceError(
    'too-large',
    `the device sent ${LONGEST_ANSWER / 1024 / 1024} MB that make no answer`,
    'record again; if it happens again, something else writes to the stream',
  );
}

function noHello(timeoutMs: number, text: RawText): DeviceError {
  return new DeviceError(
    'timeout',
    `the device's shell did not start within ${timeoutMs / 1000} s` +
      (text === '' ? '' : `; it said ${JSON.stringify(text.slice(0, 200))}`),
    'check that `adb shell` works, or raise --timeout',
  );
}

function notRaw(): DeviceError {
  return new DeviceError(
    'refused',
    "the device's shell runs on a terminal that changes the ends of lines",
    'try without --su, or with another su',
  );
}

function endedEarly(text: RawText): DeviceError {
  return new DeviceError(
    'refused',
    'the collector did not start on the device; its shell said ' +
      JSON.stringify(text.slice(-200)),
    'check that `adb shell` works there',
  );
}

function timeLimit(
  timeoutMs: number,
  error: () => Error,
): {readonly expired: Promise<never>; cancel(): void} {
  let timer: NodeJS.Timeout | undefined;
  const expired = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(error());
    }, timeoutMs);
  });
  expired.catch(() => undefined);
  return {
    expired,
    cancel: () => {
      clearTimeout(timer);
    },
  };
}
