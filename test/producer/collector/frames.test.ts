// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import type {RawText} from '../../../src/core/model/index.js';
import {
  FrameReader,
  type Frame,
} from '../../../src/producer/collector/frames.js';
import {frame} from './fake_stream.js';

const NONCE = '0123456789abcdef';

function read(...chunks: RawText[]): Frame[] {
  const reader = new FrameReader(NONCE);
  return chunks.flatMap((chunk) => [...reader.push(chunk)]);
}

function whole(sequence: number, body: RawText, status = 0): object {
  return {
    sequence,
    status,
    body,
    bytes: frame(NONCE, sequence, body, status).length,
    strayBytes: 0,
    damage: undefined,
  };
}

describe('a stream that comes as it was sent', () => {
  it('gives the body and the status', () => {
    expect(read(frame(NONCE, 1, 'some\ntext\n', 1))).toEqual([
      whole(1, 'some\ntext\n', 1),
    ]);
  });

  it('gives an empty body', () => {
    expect(read(frame(NONCE, 1, ''))).toEqual([whole(1, '')]);
  });

  it('gives every byte as it was', () => {
    const all = Array.from({length: 256}, (_, i) => String.fromCharCode(i));
    const body = all.join('') + all.reverse().join('');
    expect(read(frame(NONCE, 3, body))).toEqual([whole(3, body)]);
  });

  it('gives two frames of one chunk', () => {
    expect(read(frame(NONCE, 1, 'a') + frame(NONCE, 2, 'b'))).toEqual([
      whole(1, 'a'),
      whole(2, 'b'),
    ]);
  });

  it('may be cut into chunks anywhere', () => {
    const text = frame(NONCE, 9, 'x\n-y 1\n') + frame(NONCE, 10, '', 127);
    const frames = [whole(9, 'x\n-y 1\n'), whole(10, '', 127)];
    for (let cut = 0; cut <= text.length; cut++) {
      expect(read(text.slice(0, cut), text.slice(cut))).toEqual(frames);
    }
    expect(read(...text)).toEqual(frames);
  });

  it('gives a frame as soon as its last byte is there', () => {
    const reader = new FrameReader(NONCE);
    const text = frame(NONCE, 1, 'body');
    expect([...reader.push(text.slice(0, -1))]).toEqual([]);
    expect([...reader.push(text.slice(-1))]).toEqual([whole(1, 'body')]);
    expect(reader.pendingBytes).toBe(0);
  });
});

describe('a body that looks like frames', () => {
  it.each([
    ['of another nonce', frame('fedcba9876543210', 1, 'x')],
    ['without a nonce', '@ 1 0 1\nx\n= 1 0 1\n'],
    ['with a nonce that goes on', `@${NONCE}0 1 0 1\nx`],
    ['with the mark of a walk', `list\n-${NONCE} 1\nerrors`],
    ['with half a mark', `@${NONCE}`],
  ])('%s', (_, body) => {
    expect(read(frame(NONCE, 1, body) + frame(NONCE, 2, 'next'))).toEqual([
      whole(1, body),
      whole(2, 'next'),
    ]);
  });
});

describe('a stream that was damaged', () => {
  const first = frame(NONCE, 1, 'first\n');
  const second = frame(NONCE, 2, 'second\n');
  const damaged = (sequence: number): object =>
    expect.objectContaining({
      sequence,
      body: '',
      damage: expect.any(String) as string,
    }) as object;

  it('marks a frame that lost bytes of its body, at once', () => {
    const cut = first.replace('irs', '');
    expect(read(cut)).toEqual([damaged(1)]);
    expect(read(cut + second)).toEqual([damaged(1), whole(2, 'second\n')]);
  });

  it('marks a frame into which something was mixed', () => {
    const mixed = first.replace('irs', 'i\nsh: warning\nrs');
    expect(read(mixed + second)).toEqual([damaged(1), whole(2, 'second\n')]);
  });

  it('marks a frame whose body got longer by a line that fits', () => {
    // The byte where the body should end is a newline all the same.
    const mixed = frame(NONCE, 1, 'ab\ncd\nef').replace('ab', 'xyz\nab');
    expect(read(mixed)).toEqual([damaged(1)]);
  });

  it('marks a frame whose end was lost, once the next begins', () => {
    const cut = first.slice(0, first.indexOf('='));
    expect(read(cut)).toEqual([]);
    expect(read(cut + second)).toEqual([damaged(1), whole(2, 'second\n')]);
  });

  it('does not wait for the end of a frame for ever', () => {
    const [, endless] = read(
      frame(NONCE, 1, 'a'),
      frame(NONCE, 2, 'b').replace('=', 'x') + 'y'.repeat(200),
    );
    expect(endless).toEqual(damaged(2));
  });

  it('marks a frame whose beginning was lost', () => {
    expect(read(first.slice(5) + second)).toEqual([
      damaged(1),
      whole(2, 'second\n'),
    ]);
  });

  it('takes a later frame out of a body that lost its end', () => {
    const cut = frame(NONCE, 1, 'x'.repeat(1000)).slice(0, 300);
    expect(read(cut + second)).toEqual([damaged(1), whole(2, 'second\n')]);
  });

  it('marks a frame whose length or status was changed', () => {
    for (const header of ['1 0 60', '1 0 16', '1 0 6 ', '1 1 6', '11 0 6']) {
      const changed = first.replace('1 0 6', header);
      for (const {sequence, damage} of read(changed + second)) {
        expect(sequence === 2 || damage !== undefined, header).toBe(true);
      }
    }
  });

  it('counts what comes between two frames and keeps the frames', () => {
    const echo = '2 clock\n';
    expect(read(`${first}${echo}${second}`)).toEqual([
      whole(1, 'first\n'),
      {...whole(2, 'second\n'), strayBytes: echo.length},
    ]);
  });

  it('does not keep what belongs to no frame', () => {
    const reader = new FrameReader(NONCE);
    for (let i = 0; i < 100; i++) {
      expect([...reader.push('noise'.repeat(1000))]).toEqual([]);
    }
    expect(reader.pendingBytes).toBeLessThan(100);
    expect([...reader.push(first)]).toEqual([
      {...whole(1, 'first\n'), strayBytes: 500_000},
    ]);
  });
});

describe('any stream', () => {
  const byte = fc.oneof(
    fc.constantFrom(...`\n\n @=-${NONCE}0123456789 `),
    fc.integer({min: 0, max: 255}).map((code) => String.fromCharCode(code)),
  );
  const body = fc.string({unit: byte, maxLength: 60});
  const bodies = fc.array(
    fc.record({body, status: fc.constantFrom(0, 1, 127)}),
    {minLength: 1, maxLength: 12},
  );
  /** What happens to the bytes on their way. */
  const mishap = fc.oneof(
    fc.record({
      what: fc.constant('lost' as const),
      at: fc.double({min: 0, max: 1, noNaN: true}),
      length: fc.integer({min: 1, max: 120}),
      text: fc.constant(''),
    }),
    fc.record({
      what: fc.constant('added' as const),
      at: fc.double({min: 0, max: 1, noNaN: true}),
      length: fc.constant(0),
      // Nobody but the collector knows the nonce.
      text: fc
        .string({unit: byte, minLength: 1, maxLength: 120})
        .filter((text) => !text.includes(NONCE.slice(0, 4))),
    }),
  );

  function stream(frames: readonly {body: RawText; status: number}[]): RawText {
    return frames
      .map(({body, status}, i) => frame(NONCE, i + 1, body, status))
      .join('');
  }

  function inChunks(text: RawText, sizes: readonly number[]): RawText[] {
    const chunks: RawText[] = [];
    for (let at = 0, i = 0; at < text.length; i++) {
      const size = sizes[i % sizes.length] ?? text.length;
      chunks.push(text.slice(at, at + size));
      at += size;
    }
    return chunks;
  }

  const sizes = fc.array(fc.integer({min: 1, max: 90}), {
    minLength: 1,
    maxLength: 8,
  });

  it('is read whole, however it is cut into chunks', () => {
    fc.assert(
      fc.property(bodies, sizes, (sent, cuts) => {
        expect(read(...inChunks(stream(sent), cuts))).toEqual(
          sent.map(({body, status}, i) => whole(i + 1, body, status)),
        );
      }),
      {numRuns: 300},
    );
  });

  it('is never misread, whatever is lost or added on its way', () => {
    let damagedFrames = 0;
    fc.assert(
      fc.property(
        bodies,
        sizes,
        fc.array(mishap, {minLength: 1, maxLength: 4}),
        (sent, cuts, mishaps) => {
          let text = stream(sent);
          for (const {at, length, text: added} of mishaps) {
            const from = Math.floor(at * text.length);
            text = text.slice(0, from) + added + text.slice(from + length);
          }
          for (const {sequence, status, body, damage} of read(
            ...inChunks(text, cuts),
          )) {
            if (damage !== undefined) {
              damagedFrames++;
              expect(body).toBe('');
              continue;
            }
            expect({body, status}).toEqual(sent[sequence - 1]);
          }
        },
      ),
      {numRuns: 2000},
    );
    expect(damagedFrames).toBeGreaterThan(100);
  });

  it('is read again after what was damaged in it', () => {
    fc.assert(
      fc.property(bodies, mishap, (sent, {at, length, text: added}) => {
        const text = stream(sent);
        const from = Math.floor(at * text.length);
        const damaged = text.slice(0, from) + added + text.slice(from + length);
        const [later] = read(damaged + frame(NONCE, 99, 'later')).slice(-1);
        expect(later).toMatchObject({sequence: 99, body: 'later'});
        expect(later?.damage).toBeUndefined();
      }),
      {numRuns: 1000},
    );
  });
});
