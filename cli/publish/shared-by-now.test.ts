import assert from 'node:assert/strict';
import { it } from 'node:test';
import { sharedByNow } from './shared-by-now.ts';

const { signal } = new AbortController();
const AT_ONCE = [0, 0, 0];
const failure = (name: string) => Object.assign(new Error(`${name} it is`), { name });

/** Fails with each of the errors in turn, then answers. */
function failing(...names: readonly string[]) {
  let calls = 0;
  const call = async () => {
    const name = names[calls++];
    if (name) throw failure(name);
    return 'copied';
  };
  return { call, calls: () => calls };
}

it('asks again while the share is not seen yet', async () => {
  const { call, calls } = failing('InvalidAMIID.NotFound', 'InvalidRequest');
  assert.equal(await sharedByNow(call, signal, AT_ONCE), 'copied');
  assert.equal(calls(), 3);
});

it('gives up with the last answer, after as many times as it waits', async () => {
  const { call, calls } = failing(...Array.from({ length: 9 }, () => 'AuthFailure'));
  await assert.rejects(sharedByNow(call, signal, AT_ONCE), { name: 'AuthFailure' });
  assert.equal(calls(), 4);
});

it('does not repeat what fails for another reason', async () => {
  const { call, calls } = failing('UnauthorizedOperation');
  await assert.rejects(sharedByNow(call, signal, AT_ONCE), { name: 'UnauthorizedOperation' });
  assert.equal(calls(), 1);
});
