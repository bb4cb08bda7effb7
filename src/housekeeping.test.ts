import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { startHousekeeping } from './housekeeping.ts';
import type { Log } from './log.ts';

function recordingLog(): Log & { lines: string[] } {
  const lines: string[] = [];
  const line = (level: string) => (_facts: object, message: string) => {
    lines.push(`${level} ${message}`);
  };
  return { lines, debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') };
}

describe('housekeeping', () => {
  it('runs one round at a time, goes on after a failure, and stop() waits for the round in progress', async (context) => {
    context.mock.timers.enable({ apis: ['setInterval'] });
    const log = recordingLog();
    const ends: (() => void)[] = [];
    let fail = true;
    const housekeeping = startHousekeeping({
      everyMs: 1000,
      log,
      round: async () => {
        if (fail) throw new Error('no');
        await new Promise<void>((resolve) => ends.push(resolve));
        return { freed: 1 };
      },
    });
    context.mock.timers.tick(1000);
    await new Promise(setImmediate);
    assert.deepEqual(log.lines, ['error housekeeping failed and will be tried again']);
    fail = false;
    context.mock.timers.tick(3000);
    assert.equal(ends.length, 1);
    let stopped = false;
    const stopping = housekeeping.stop().then(() => {
      stopped = true;
    });
    await new Promise(setImmediate);
    assert.equal(stopped, false);
    ends[0]?.();
    await stopping;
    assert.equal(log.lines.at(-1), 'info housekeeping');
  });
});
