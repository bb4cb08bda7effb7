/** What the API does alike with users, groups, roles and instance profiles: looking up, renaming, tags, boundaries. */
import type { Tag } from '@aws-sdk/client-iam';
import type { Call } from '../../authz/caller.ts';
import type { Permit } from '../../authz/permit.ts';
import type { Tagging } from '../../identity/entities.ts';
import {
  type Entity,
  entityArn,
  type Group,
  type InstanceProfile,
  type Role,
  type User,
} from '../../identity/entities.ts';
import type { Arn } from '../../ids.ts';
import {
  authorize,
  authorizeOn,
  type Iam,
  lookUp,
  noSuchEntity,
  type PageInput,
  page,
  requireName,
  requirePath,
  shownTags,
  tagContext,
  tagsOf,
  withoutTags,
  withTags,
} from './iam.ts';

interface Kinds {
  readonly user: { readonly title: 'User'; readonly shown: User };
  readonly group: { readonly title: 'Group'; readonly shown: Group };
  readonly role: { readonly title: 'Role'; readonly shown: Role };
  readonly 'instance-profile': { readonly title: 'InstanceProfile'; readonly shown: InstanceProfile };
}
export type NamedType = keyof Kinds;
export type Title<Type extends NamedType> = Kinds[Type]['title'];

/** As actions and members of requests are named after them. */
export const TITLES: { readonly [Type in NamedType]: Title<Type> } = {
  user: 'User',
  group: 'Group',
  role: 'Role',
  'instance-profile': 'InstanceProfile',
};

/** A request that names one, by the member `UserName`, `GroupName`, … */
export type Naming<Type extends NamedType> = { readonly [Member in `${Title<Type>}Name`]?: string | undefined };

export function nameIn<Type extends NamedType>(type: Type, input: Naming<Type>): string {
  return requireName((input as Readonly<Record<string, string | undefined>>)[`${TITLES[type]}Name`], type);
}

export function notFound(type: NamedType, name: string) {
  return noSuchEntity(
    type === 'instance-profile'
      ? `Instance Profile ${name} cannot be found.`
      : `The ${type} with name ${name} cannot be found.`,
  );
}

/** For a caller who was authorized to know. */
export async function existing<Type extends NamedType>(
  iam: Iam,
  call: Call,
  type: Type,
  name: string,
): Promise<Kinds[Type]['shown']> {
  const found = await lookUp(iam, call.caller.accountId, type, name);
  if (!found) throw notFound(type, name);
  return found as Kinds[Type]['shown'];
}

/** ARN and tags that a request gives to a new one. */
export function newEntity<Type extends NamedType>(
  call: Call,
  type: Type,
  input: Naming<Type> & { readonly Path?: string | undefined; readonly Tags?: readonly Tag[] | undefined },
): { arn: Arn; tags: Tagging } {
  const name = nameIn(type, input);
  return { arn: entityArn(call.caller.accountId, type, requirePath(input.Path), name), tags: tagsOf(input.Tags) };
}

/** All of the account below a path, one page of them. */
export async function listed<Type extends NamedType, Item extends Entity>(
  iam: Iam,
  call: Call,
  type: Type,
  list: () => Promise<readonly Item[]>,
  input: PageInput,
) {
  const action = `iam:List${TITLES[type]}s` as const;
  await authorize(iam, call, action, { arn: entityArn(call.caller.accountId, type, '/', '*') });
  return pageOf(await list(), input);
}

export function pageOf<Item extends Entity>(items: readonly Item[], input: PageInput) {
  return page(items, ({ name }) => name.toLowerCase(), input);
}

/** `DeleteUser` and the like. */
export const deletion =
  <Type extends NamedType>(
    type: Type,
    remove: (iam: Iam, permit: Permit<`iam:Delete${Title<Type>}`>) => Promise<void>,
  ) =>
  (iam: Iam) =>
  async (call: Call, input: Naming<Type>) => {
    const action: `iam:Delete${Title<Type>}` = `iam:Delete${TITLES[type]}`;
    await remove(iam, await authorizeOn(iam, call, action, type, nameIn(type, input)));
    return {};
  };

/** `UpdateUser` and `UpdateGroup`: the new name must be allowed as the old one is. */
export const renaming =
  <Type extends 'user' | 'group'>(
    type: Type,
    rename: (
      iam: Iam,
      permit: Permit<`iam:Update${Title<Type>}`>,
      change: { name?: string; path?: string },
    ) => Promise<void>,
  ) =>
  (iam: Iam) =>
  async (call: Call, input: Naming<Type> & { readonly NewPath?: string | undefined }) => {
    const name = nameIn(type, input);
    const newName = (input as Readonly<Record<string, string | undefined>>)[`New${TITLES[type]}Name`];
    const change = {
      ...(newName === undefined ? {} : { name: requireName(newName, type) }),
      ...(input.NewPath === undefined ? {} : { path: requirePath(input.NewPath) }),
    };
    const action: `iam:Update${Title<Type>}` = `iam:Update${TITLES[type]}`;
    const permit = await authorizeOn(iam, call, action, type, name);
    const before = await existing(iam, call, type, name);
    const arn = entityArn(before.accountId, type, change.path ?? before.path, change.name ?? before.name);
    if (arn !== before.arn) await authorize(iam, call, action, { arn });
    await rename(iam, permit, change);
    return {};
  };

type Tagged = 'user' | 'role' | 'instance-profile';

/** `TagUser`, `UntagUser`, `ListUserTags`, and the like. */
export function tagOperations<Type extends Tagged>(
  type: Type,
  setTags: (
    iam: Iam,
    permit: Permit<`iam:${'Tag' | 'Untag'}${Title<Type>}`>,
    change: (before: Tagging) => Tagging,
  ) => Promise<void>,
) {
  const title: Title<Type> = TITLES[type];
  return {
    tag: (iam: Iam) => async (call: Call, input: Naming<Type> & { readonly Tags: readonly Tag[] | undefined }) => {
      const name = nameIn(type, input);
      const tags = tagsOf(input.Tags);
      const permit = await authorizeOn(iam, call, `iam:Tag${title}`, type, name, tagContext(tags));
      await setTags(iam, permit, (before) => withTags(before, tags));
      return {};
    },
    untag:
      (iam: Iam) => async (call: Call, input: Naming<Type> & { readonly TagKeys: readonly string[] | undefined }) => {
        const name = nameIn(type, input);
        const keys = input.TagKeys ?? [];
        const permit = await authorizeOn(iam, call, `iam:Untag${title}`, type, name, { 'aws:TagKeys': keys });
        await setTags(iam, permit, (before) => withoutTags(before, keys));
        return {};
      },
    list: (iam: Iam) => async (call: Call, input: Naming<Type> & PageInput) => {
      const name = nameIn(type, input);
      await authorizeOn(iam, call, `iam:List${title}Tags`, type, name);
      const { tags } = await existing(iam, call, type, name);
      const { items, ...rest } = page(shownTags(tags), (tag) => tag.Key, input);
      return { Tags: items, ...rest };
    },
  };
}

/** `PutUserPermissionsBoundary`, `DeleteUserPermissionsBoundary`, and the same of roles. */
export function boundaryOperations<Type extends 'user' | 'role'>(
  type: Type,
  setBoundary: (
    iam: Iam,
    permit: Permit<`iam:${'Put' | 'Delete'}${Title<Type>}PermissionsBoundary`>,
    boundary: Arn | undefined,
  ) => Promise<void>,
) {
  const title: Title<Type> = TITLES[type];
  return {
    put:
      (iam: Iam) => async (call: Call, input: Naming<Type> & { readonly PermissionsBoundary: string | undefined }) => {
        const boundary = input.PermissionsBoundary;
        const context = { 'iam:PermissionsBoundary': boundary };
        const action = `iam:Put${title}PermissionsBoundary` as const;
        await setBoundary(
          iam,
          await authorizeOn(iam, call, action, type, nameIn(type, input), context),
          boundary as Arn,
        );
        return {};
      },
    remove: (iam: Iam) => async (call: Call, input: Naming<Type>) => {
      const action = `iam:Delete${title}PermissionsBoundary` as const;
      await setBoundary(iam, await authorizeOn(iam, call, action, type, nameIn(type, input)), undefined);
      return {};
    },
  };
}

/** The boundary as answers show it. */
export function boundaryOf(arn: Arn | undefined) {
  if (arn === undefined) return {};
  return {
    PermissionsBoundary: { PermissionsBoundaryType: 'PermissionsBoundaryPolicy' as const, PermissionsBoundaryArn: arn },
  };
}
