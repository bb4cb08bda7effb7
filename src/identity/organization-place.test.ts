import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AccountId, Arn } from '../ids.ts';
import { organizationPlaceOf } from './organization-place.ts';

const ids = { root: 'r-1', outer: 'ou-outer', inner: 'ou-inner' };
const account = '111122223333' as AccountId;

function organizationsWith(parentId: string) {
  const unit = (id: string, parent: string) => ({ id, arn: `arn:${id}` as Arn, parentId: parent, name: id });
  return {
    get: async () => ({
      id: 'o-1',
      arn: 'arn:o-1' as Arn,
      rootId: ids.root,
      managementAccount: account,
      createdAt: new Date(0),
    }),
    member: async (id: string) =>
      id === account
        ? { id: account, arn: 'arn:a' as Arn, name: 'a', email: 'a@example.com', parentId, joinedAt: new Date(0) }
        : undefined,
    units: async () => [unit(ids.inner, ids.outer), unit(ids.outer, ids.root)],
  };
}

describe('the place of an account in its organization', () => {
  it('names every unit above it, the nearest first', async () => {
    assert.deepEqual(await organizationPlaceOf(organizationsWith(ids.inner), account), {
      organizationArn: 'arn:o-1',
      organizationalUnitArns: ['arn:ou-inner', 'arn:ou-outer'],
    });
  });
  it('names no unit for an account directly under the root', async () => {
    const place = await organizationPlaceOf(organizationsWith(ids.root), account);
    assert.deepEqual(place?.organizationalUnitArns, []);
  });
  it('is unknown for an account that is not in it', async () => {
    assert.equal(await organizationPlaceOf(organizationsWith(ids.root), '999999999999' as AccountId), undefined);
  });
});
