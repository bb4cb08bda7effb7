import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ACK, FIN, RST, readSegment, resetFor, type Segment, SYN, segmentBytes, TcpStream } from './tcp.ts';

/** Two ends joined by a line that loses, doubles and reorders what `fate` says; over bytes, as on the wire. */
function joined(fate: () => 'arrives' | 'is lost' | 'comes twice' | 'comes late' = () => 'arrives') {
  const ends: TcpStream[] = [];
  const opened: number[] = [];
  const line = (to: number) => (segment: Segment) => {
    const bytes = segmentBytes(1, 2, segment);
    const arrive = () => {
      const other = ends[to]!;
      const read = readSegment(bytes)!.segment;
      if (to === 1 && read.flags === SYN && !accepted) {
        accepted = true;
        other.accept(read);
      } else other.receive(read);
    };
    const what = fate();
    if (what === 'is lost') return;
    if (what === 'comes late') setTimeout(arrive, 5);
    else setImmediate(arrive);
    if (what === 'comes twice') setImmediate(arrive);
  };
  let accepted = false;
  for (const index of [0, 1]) {
    ends.push(new TcpStream({ send: line(1 - index), opened: () => opened.push(index), over: () => {} }));
  }
  ends[0]!.connect();
  return { client: ends[0]!, server: ends[1]!, opened };
}

async function gather(stream: TcpStream): Promise<Buffer> {
  const chunks: Buffer[] = [];
  // Not `for await`: it destroys the stream, and with it the other direction.
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(stream, 'end');
  return Buffer.concat(chunks);
}

const FATES = ['arrives', 'arrives', 'arrives', 'arrives', 'comes twice', 'comes late', 'is lost'] as const;

describe('TCP with a guest', () => {
  test('both directions carry more than a window, and both ends close', async () => {
    const { client, server, opened } = joined();
    const there = Buffer.alloc(300_000, 'there');
    const back = Buffer.alloc(200_001, 'back');
    const closed = Promise.all([once(client, 'close'), once(server, 'close')]);
    client.end(there);
    server.end(back);
    const [atServer, atClient] = await Promise.all([gather(server), gather(client)]);
    assert.ok(atServer.equals(there) && atClient.equals(back));
    assert.deepEqual(opened.toSorted(), [0, 1]);
    await closed;
  });

  test('bytes arrive whole and in order over a line that loses, doubles and delays segments', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 20_000 }),
        fc.array(fc.constantFrom(...FATES), {
          minLength: 20,
          maxLength: 60,
        }),
        async (length, fates) => {
          const losses = fates.filter((fate) => fate === 'is lost').length;
          fc.pre(losses <= 3);
          let at = 0;
          const { client, server } = joined(() => fates[at++] ?? 'arrives');
          // Where the very last acknowledgment is lost, the other end waits for it in vain.
          for (const end of [client, server]) end.on('error', () => {});
          const sent = Buffer.from(Uint8Array.from({ length }, (_, index) => (index * 31) & 255));
          client.end(sent);
          server.end();
          const [got] = await Promise.all([gather(server), gather(client)]);
          assert.ok(got.equals(sent));
          client.destroy();
          server.destroy();
        },
      ),
      { numRuns: 12, verbose: 1 },
    );
  });

  test('a reader that does not read closes the window, and opens it again', async () => {
    const { client, server } = joined();
    const sent = Buffer.alloc(400_000, 7);
    client.end(sent);
    server.end();
    await once(client, 'connect');
    // 65,535 bytes are the window; the sender has no more room than that and its own queue.
    await once(server, 'readable');
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.ok(server.readableLength <= 65_535);
    const [got] = await Promise.all([gather(server), gather(client)]);
    assert.equal(got.length, sent.length);
  });

  test('an end that is destroyed resets the other', async () => {
    const { client, server } = joined();
    await once(client, 'connect');
    const failed = once(server, 'error');
    client.destroy();
    assert.match(String((await failed)[0]), /reset/);
  });

  const RESETS: readonly { name: string; segment: Partial<Segment>; answer: Partial<Segment> | undefined }[] = [
    { name: 'a SYN', segment: { flags: SYN, sequence: 9 }, answer: { flags: RST | ACK, acknowledgment: 10 } },
    {
      name: 'the last byte of the circle and a FIN',
      segment: { flags: FIN, sequence: 0xffffffff, payload: Buffer.alloc(1) },
      answer: { flags: RST | ACK, acknowledgment: 1 },
    },
    { name: 'an ACK', segment: { flags: ACK, acknowledgment: 7 }, answer: { flags: RST, sequence: 7 } },
    { name: 'a RST', segment: { flags: RST }, answer: undefined },
  ];
  for (const { name, segment, answer } of RESETS) {
    test(`what belongs to no connection is answered by a reset: ${name} (RFC 9293 3.5.2)`, () => {
      const whole = { sequence: 0, acknowledgment: 0, flags: 0, window: 0, payload: Buffer.alloc(0), ...segment };
      const reset = resetFor(whole);
      if (answer) for (const [key, value] of Object.entries(answer)) assert.equal(reset?.[key as keyof Segment], value);
      else assert.equal(reset, undefined);
    });
  }

  test('segments that are cut off or lie about their length are not read', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        const read = readSegment(Buffer.from(bytes));
        return read === undefined || read.segment.payload.length <= bytes.length - 20;
      }),
    );
  });
});
