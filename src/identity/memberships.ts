/** How accounts end: one that is closed has no principals any more, one that leaves stands outside the organization. */
import type { Permit } from '../authz/permit.ts';
import { removeOrganizationTags } from './organization-tags.ts';
import { refuse } from './refusals.ts';
import type { Store, Tables } from './store.ts';

/** Parent of an account that is in no organization. */
export const NO_PARENT = '';

export async function accountIsClosed(tables: Tables, id: string): Promise<boolean> {
  const row = await tables.selectFrom('identity_account').select('closed_at').where('id', '=', id).executeTakeFirst();
  return row !== undefined && row.closed_at !== null;
}

export function createMemberships(store: Store, managementAccount: (tables: Tables) => Promise<string>) {
  async function member(tables: Tables, id: string) {
    const row = await tables
      .selectFrom('identity_account')
      .selectAll()
      .where('id', '=', id)
      .where('parent_id', '!=', NO_PARENT)
      .executeTakeFirst();
    if (!row) throw refuse('account-not-found', { account: id });
    return row;
  }

  return {
    isClosed: (id: string): Promise<boolean> => accountIsClosed(store.read(), id),

    /** Its principals are nobody from now on. What it owns stays, and who else may use it goes on using it. */
    async closeAccount(_permit: Permit<'organizations:CloseAccount'>, id: string): Promise<void> {
      await store.write(async (tables) => {
        const account = await member(tables, id);
        if (id === (await managementAccount(tables))) throw refuse('management-account', { account: id });
        if (account.closed_at !== null) throw refuse('account-closed', { account: id });
        const closed_at = store.clock().getTime();
        await tables.updateTable('identity_account').set({ closed_at }).where('id', '=', id).execute();
      });
    },

    /** No control policy reaches it from now on, and it is no part of what is shared with the organization. */
    async leave(
      _permit: Permit<'organizations:LeaveOrganization' | 'organizations:RemoveAccountFromOrganization'>,
      id: string,
    ): Promise<void> {
      await store.write(async (tables) => {
        const account = await member(tables, id);
        if (id === (await managementAccount(tables))) throw refuse('management-account', { account: id });
        if (account.closed_at !== null) throw refuse('account-closed', { account: id });
        await tables.deleteFrom('identity_control_attachment').where('target_id', '=', id).execute();
        await removeOrganizationTags(tables, id);
        await tables.updateTable('identity_account').set({ parent_id: NO_PARENT }).where('id', '=', id).execute();
      });
    },
  };
}
