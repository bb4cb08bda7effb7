/** Tags of the organization's things: accounts, units, the root and control policies. */
import type { Permit } from '../authz/permit.ts';
import type { Tagging } from './entities.ts';
import type { Store, Tables } from './store.ts';

export type OrganizationTags = ReturnType<typeof createOrganizationTags>;

export function createOrganizationTags(store: Store) {
  return {
    tagsOf: (id: string): Promise<Tagging> => read(store.read(), id),

    /** `change` sees the tags as they are; nothing comes in between. The permit is for the resource `id` names. */
    async setTags(
      _permit: Permit<'organizations:TagResource' | 'organizations:UntagResource'>,
      id: string,
      change: (before: Tagging) => Tagging,
    ): Promise<void> {
      await store.write(async (tables) => {
        const after = change(await read(tables, id));
        await removeOrganizationTags(tables, id);
        await putOrganizationTags(tables, id, after);
      });
    },
  };
}

async function read(tables: Tables, id: string): Promise<Tagging> {
  const rows = await tables
    .selectFrom('identity_organization_tags')
    .select('tags')
    .where('resource_id', '=', id)
    .execute();
  return rows[0] ? (JSON.parse(rows[0].tags) as Tagging) : {};
}

/** For a resource that has none. */
export async function putOrganizationTags(tables: Tables, id: string, tags: Tagging): Promise<void> {
  if (Object.keys(tags).length === 0) return;
  await tables
    .insertInto('identity_organization_tags')
    .values({ resource_id: id, tags: JSON.stringify(tags) })
    .execute();
}

export async function removeOrganizationTags(tables: Tables, id: string): Promise<void> {
  await tables.deleteFrom('identity_organization_tags').where('resource_id', '=', id).execute();
}
