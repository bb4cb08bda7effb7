/** As publish-resume.test.ts, killed at every single change. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { publishThroughKills } from './publish-kills.ts';

for (const stride of [1, 3]) {
  it(`killed at change ${stride} of each run: nothing is missing and nothing is there twice`, async () => {
    assert.ok((await publishThroughKills(stride)) >= 5);
  });
}
