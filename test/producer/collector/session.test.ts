// SPDX-License-Identifier: Apache-2.0
import {afterEach, describe, expect, it, vi} from 'vitest';
import {CollectorSession} from '../../../src/producer/collector/session.js';
import {DeviceError} from '../../../src/producer/device/device.js';
import {FakeStream, frame} from './fake_stream.js';

const NONCE = '00112233445566aa';
const HELLO = 'perfetto-dmabuf collector 1 4711\n';
const TIMEOUT_MS = 1000;

async function started(): Promise<{
  stream: FakeStream;
  session: CollectorSession;
}> {
  const stream = new FakeStream();
  stream.say(HELLO);
  const session = await CollectorSession.start(stream, {
    nonce: NONCE,
    timeoutMs: TIMEOUT_MS,
  });
  return {stream, session};
}

function start(stream: FakeStream): Promise<CollectorSession> {
  return CollectorSession.start(stream, {nonce: NONCE, timeoutMs: TIMEOUT_MS});
}

function codeOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => 'no error',
    (error: unknown) => (error instanceof DeviceError ? error.code : error),
  );
}

afterEach(() => {
  vi.useRealTimers();
});

describe('the start', () => {
  it('gives the nonce only after the hello', async () => {
    const stream = new FakeStream();
    const session = start(stream);
    await Promise.resolve();
    expect(stream.lines).toEqual([]);
    stream.say(HELLO);
    expect((await session).collectorPid).toBe(4711);
    expect(stream.lines).toEqual([NONCE]);
  });

  it('passes over what su and the shell say first', async () => {
    const stream = new FakeStream();
    const session = start(stream);
    stream.say('su: warning\r\nHello, I am your shell. ');
    stream.say('perfetto-dmabuf coll');
    stream.say('ector 1 12\n');
    expect((await session).collectorPid).toBe(12);
  });

  it('does not take an echo of the script for the hello', async () => {
    const stream = new FakeStream();
    const session = start(stream);
    stream.say('put "perfetto-dmabuf collector 1 $$"\n');
    stream.say('perfetto-dmabuf collector 1 77\n');
    expect((await session).collectorPid).toBe(77);
  });

  it.each([
    ['ended', '', 'refused'],
    ['said something else', '/system/bin/sh: find: not found\n', 'refused'],
    ['is of another version', 'perfetto-dmabuf collector 99 5\n', 'refused'],
    ['changes line ends', 'perfetto-dmabuf collector 1 5\r\n', 'refused'],
  ])('fails where the shell %s', async (_, said, code) => {
    const stream = new FakeStream();
    if (said !== '') stream.say(said);
    stream.end();
    expect(await codeOf(start(stream))).toBe(code);
  });

  it('quotes what the shell said without its control characters', async () => {
    const stream = new FakeStream();
    stream.say('\x1b[31mno such\x07 shell\n');
    stream.end();
    const error: unknown = await start(stream).catch((e: unknown) => e);
    expect(String(error)).toContain('no such');
    expect(String(error)).not.toMatch(/[\x00-\x1f]/);
  });

  it('fails when no hello comes', async () => {
    vi.useFakeTimers();
    const outcome = codeOf(start(new FakeStream()));
    await vi.advanceTimersByTimeAsync(TIMEOUT_MS);
    expect(await outcome).toBe('timeout');
  });

  it('does not read a banner without end', async () => {
    const stream = new FakeStream();
    const outcome = codeOf(start(stream));
    stream.say('y\n'.repeat(100_000));
    expect(await outcome).toBe('refused');
  });

  it('fails when the device goes away', async () => {
    const stream = new FakeStream();
    const outcome = codeOf(start(stream));
    stream.fail(new DeviceError('gone', 'unplugged', 'plug it in'));
    expect(await outcome).toBe('gone');
  });
});

describe('requests', () => {
  it('are lines, answered in order', async () => {
    const {stream, session} = await started();
    const first = session.request('file', '/proc/uptime');
    const second = session.request('counts', 1, 22);
    expect(stream.lines.slice(1)).toEqual([
      '1 file /proc/uptime',
      '2 counts 1 22',
    ]);
    stream.say(frame(NONCE, 1, 'text\n', 1));
    stream.say(frame(NONCE, 2, `1 2 /proc/1/fd\n-${NONCE} 1\nstat: no`));
    expect(await first).toMatchObject({
      step: 'file',
      status: 1,
      body: 'text\n',
      damage: undefined,
    });
    expect(await second).toMatchObject({
      body: '1 2 /proc/1/fd\n',
      errors: 'stat: no',
      damage: undefined,
    });
  });

  it.each([
    ['0', ''],
    ['1', ''],
    ['2', 'grep: /proc/1/maps: Permission denied'],
  ])('take a walk that ended with %s', async (status, errors) => {
    const {stream, session} = await started();
    const answer = session.request('maps');
    const trailer = errors === '' ? '' : `\n${errors}`;
    stream.say(frame(NONCE, 1, `line\n-${NONCE} ${status}${trailer}`));
    expect(await answer).toMatchObject({body: 'line\n', errors});
  });

  it.each([
    ['is not there', 'line\n'],
    ['says it was killed', `line\n-${NONCE} 137`],
    ['says it could not start', `\n-${NONCE} 126\nArgument list too long`],
    ['says nothing', `line\n-${NONCE} `],
    ['says nonsense', `line\n-${NONCE} ok`],
  ])('notice a walk whose end %s', async (_, body) => {
    const {stream, session} = await started();
    const answer = session.request('fds');
    stream.say(frame(NONCE, 1, body));
    const {damage, body: kept, errors} = await answer;
    expect(damage).toEqual(expect.any(String));
    expect(kept).toBe('');
    expect(errors).toBeUndefined();
  });

  it('are not fooled by a name that forges the end of a walk', async () => {
    const {stream, session} = await started();
    const answer = session.request('maps');
    const forged = 'line -0123 0\nmore\n';
    stream.say(frame(NONCE, 1, `${forged}-${NONCE} 0`));
    expect(await answer).toMatchObject({body: forged, errors: ''});
  });

  it('tell an answer that is garbled, and go on', async () => {
    const {stream, session} = await started();
    const answers = ['a', 'b', 'c'].map((path) =>
      session.request('file', path),
    );
    stream.say(frame(NONCE, 1, 'whole'));
    stream.say(frame(NONCE, 2, 'garbled').replace('arb', ''));
    stream.say(frame(NONCE, 3, 'whole too'));
    const [a, b, c] = await Promise.all(answers);
    expect(a).toMatchObject({body: 'whole', damage: undefined});
    expect(b).toMatchObject({body: '', damage: expect.any(String) as string});
    expect(c).toMatchObject({body: 'whole too', damage: undefined});
  });

  it('tell an answer that was lost', async () => {
    const {stream, session} = await started();
    const answers = [session.request('clock'), session.request('clock')];
    stream.say(frame(NONCE, 2, 'later'));
    const [lost, later] = await Promise.all(answers);
    expect(lost).toMatchObject({body: '', damage: 'the answer was lost'});
    expect(later).toMatchObject({body: 'later', damage: undefined});
  });

  it('count what comes between answers: an echo of the requests', async () => {
    const {stream, session} = await started();
    stream.onLine = (line) => {
      const sequence = Number(line.split(' ')[0]);
      stream.say(`${line}\n${frame(NONCE, sequence, 'text')}`);
    };
    for (let i = 1; i <= 3; i++) {
      expect(await session.request('file', '/x')).toMatchObject({
        body: 'text',
        strayBytes: '1 file /x\n'.length,
        damage: undefined,
      });
    }
  });

  it('ignore answers to what was never asked', async () => {
    const {stream, session} = await started();
    const answer = session.request('clock');
    stream.say(frame(NONCE, 7, 'what?'));
    stream.say(frame(NONCE, 1, 'right'));
    expect(await answer).toMatchObject({body: 'right', damage: undefined});
  });
});

describe('a device that is slow', () => {
  it('fails what waits once it said nothing for the limit', async () => {
    vi.useFakeTimers();
    const {session} = await started();
    const first = session.request('fds');
    const outcomes = [codeOf(first), codeOf(session.request('maps'))];
    const message = first.catch((error: unknown) => String(error));
    await vi.advanceTimersByTimeAsync(TIMEOUT_MS);
    expect(await Promise.all(outcomes)).toEqual(['timeout', 'timeout']);
    expect(await message).toContain("'fds'");
  });

  it('has time as long as it says something', async () => {
    vi.useFakeTimers();
    const {stream, session} = await started();
    const answer = session.request('file', '/big');
    for (const character of frame(NONCE, 1, 'big')) {
      await vi.advanceTimersByTimeAsync(TIMEOUT_MS - 1);
      stream.say(character);
    }
    await vi.advanceTimersByTimeAsync(0);
    expect(await answer).toMatchObject({body: 'big'});
  });

  it('may be silent for long while nothing is asked', async () => {
    vi.useFakeTimers();
    const {stream, session} = await started();
    await vi.advanceTimersByTimeAsync(100 * TIMEOUT_MS);
    const answer = session.request('clock');
    await vi.advanceTimersByTimeAsync(TIMEOUT_MS / 2);
    stream.say(frame(NONCE, 1, 'clock'));
    await vi.advanceTimersByTimeAsync(0);
    expect(await answer).toMatchObject({body: 'clock'});
    await vi.advanceTimersByTimeAsync(100 * TIMEOUT_MS);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('does not answer a later request with a late answer', async () => {
    vi.useFakeTimers();
    const {stream, session} = await started();
    const late = [codeOf(session.request('fds')), codeOf(session.request('x'))];
    await vi.advanceTimersByTimeAsync(TIMEOUT_MS);
    expect(await Promise.all(late)).toEqual(['timeout', 'timeout']);
    const next = session.request('clock');
    stream.say(frame(NONCE, 1, `late\n-${NONCE} 0`) + frame(NONCE, 2, 'late'));
    await vi.advanceTimersByTimeAsync(0);
    stream.say(frame(NONCE, 3, 'in time'));
    await vi.advanceTimersByTimeAsync(0);
    expect(await next).toMatchObject({body: 'in time', damage: undefined});
  });
});

describe('the end', () => {
  it('fails what waits when the command ends', async () => {
    const {stream, session} = await started();
    const outcome = session.request('clock').catch((error: unknown) => error);
    stream.end();
    expect(await outcome).toMatchObject({code: 'gone'});
    expect(await codeOf(session.request('clock'))).toBe('gone');
  });

  it('tells when it came in mid-answer', async () => {
    const {stream, session} = await started();
    const outcome = session.request('clock').catch((error: unknown) => error);
    stream.say(frame(NONCE, 1, 'the body').slice(0, -10));
    stream.end();
    expect(String(await outcome)).toContain('in mid-answer');
  });

  it('fails what waits when the device goes away', async () => {
    const {stream, session} = await started();
    const outcome = codeOf(session.request('clock'));
    stream.fail(new DeviceError('gone', 'unplugged', 'plug it in'));
    expect(await outcome).toBe('gone');
  });

  it('fails what waits when nothing can be written', async () => {
    const {stream, session} = await started();
    stream.writeError = new DeviceError('timeout', 'takes nothing', 'wait');
    expect(await codeOf(session.request('clock'))).toBe('timeout');
  });

  it('comes when asked for, and leaves no timer', async () => {
    vi.useFakeTimers();
    const {stream, session} = await started();
    const outcome = codeOf(session.request('clock'));
    await session.close();
    expect(stream.lines.at(-1)).toBe('0 end');
    expect(stream.closed).toBe(true);
    expect(await outcome).toBe('gone');
    expect(vi.getTimerCount()).toBe(0);
  });

  it('comes after an answer that does not end', async () => {
    const {stream, session} = await started();
    const outcome = codeOf(session.request('file', '/dev/zero'));
    stream.say(`@${NONCE} 1 0 999999999\n`);
    const megabyte = '\0'.repeat(16 << 20);
    for (let i = 0; i < 9; i++) stream.say(megabyte);
    expect(await outcome).toBe('too-large');
    expect(stream.closed).toBe(true);
  });
});
