import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { styleText } from 'node:util';
import { printable } from './printable.ts';

describe('what a terminal is given', () => {
  const steering = [
    ['\u001b]0;title\u0007', 'a window title'],
    ['\u001b]52;c;ZXZpbA==\u0007', 'the clipboard'],
    ['\u001b[2J\u001b[H', 'an erased screen'],
    ['\u001b[1A\u001b[2K', 'a line rewritten'],
    ['ok\rnot', 'a line written over'],
    ['\u009b2J', 'an eight-bit sequence'],
    ['\u202egnp.exe', 'letters from right to left'],
  ] as const;
  for (const [text, what] of steering) {
    it(`holds nothing that makes ${what}`, () => {
      assert.doesNotMatch(printable(text), /[\p{Cc}\u202e]/u);
    });
  }

  it('keeps lines, tabs, letters of every script, and styles', () => {
    const text = `${styleText(['bold', 'red'], 'Größe 大 👩‍💻', { validateStream: false })}\n\tnext`;
    assert.equal(printable(text), text);
  });
});
