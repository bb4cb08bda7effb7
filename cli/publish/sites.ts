/** Accounts and regions that a publication touches, and whose credentials reach them. */
import {
  type Account as Member,
  OrganizationsClient,
  paginateListAccounts,
  paginateListAccountsForParent,
  paginateListOrganizationalUnitsForParent,
} from '@aws-sdk/client-organizations';
import type { Aws } from '../aws.ts';
import { describeFailure } from '../error.ts';
import { Views } from '../foresee/views.ts';
import type { Audience, Manifest } from './manifest.ts';

/** One account in one region. */
export interface Site {
  readonly account: string;
  readonly region: string;
  readonly own: boolean;
  readonly aws: Aws;
}

export const siteKey = ({ account, region }: Pick<Site, 'account' | 'region'>) => `${account} ${region}`;

export class Sites {
  readonly account: string;
  readonly arn: string;
  readonly partition: string;
  readonly #own: Aws;
  readonly #role: string;
  readonly #assumed = new Map<string, Aws>();
  readonly #tried = new Map<string, Promise<string | undefined>>();

  private constructor(own: Aws, role: string, identity: { account: string; arn: string }) {
    this.#own = own;
    this.#role = role;
    this.account = identity.account;
    this.arn = identity.arn;
    this.partition = identity.arn.split(':')[1] ?? 'aws';
  }

  static async of(own: Aws, role: string): Promise<Sites> {
    return new Sites(own, role, await own.identity());
  }

  roleArn(account: string): string {
    return `arn:${this.partition}:iam::${account}:role/${this.#role}`;
  }

  at(account: string, region: string): Site {
    const own = account === this.account;
    return { account, region, own, aws: (own ? this.#own : this.#in(account)).inRegion(region) };
  }

  #in(account: string): Aws {
    let aws = this.#assumed.get(account);
    if (!aws) {
      aws = this.#own.assuming(this.roleArn(account), 'ingot-publish');
      this.#assumed.set(account, aws);
    }
    return aws;
  }

  /** Why the role in the account cannot be assumed; undefined where it can. */
  whyNotAssumable(account: string): Promise<string | undefined> {
    if (account === this.account) return Promise.resolve(undefined);
    let tried = this.#tried.get(account);
    if (!tried) {
      tried = this.#in(account)
        .identity()
        .then(() => undefined, describeFailure);
      this.#tried.set(account, tried);
    }
    return tried;
  }

  /** What the publisher, and the roles that it can assume in `accounts`, see in the region; nothing is remembered. */
  async views(region: string, accounts: readonly string[]): Promise<Views> {
    const others = new Map<string, Aws>();
    for (const account of accounts) {
      if (account === this.account || (await this.whyNotAssumable(account)) !== undefined) continue;
      others.set(account, this.#in(account));
    }
    return new Views(this.#own.inRegion(region), this, others);
  }

  /** Active accounts of the audience, the publisher aside; accounts that are named and in a unit come once. */
  async accountsOf(audience: Audience): Promise<string[]> {
    const accounts = new Set(audience.accounts);
    const client = this.#own.use(OrganizationsClient);
    const addAll = (members: readonly Member[] | undefined) => {
      for (const { Id, Status } of members ?? []) if (Id && Status !== 'SUSPENDED') accounts.add(Id);
    };
    if (audience.organization !== undefined) {
      for await (const page of paginateListAccounts({ client }, {})) addAll(page.Accounts);
    }
    const units = audience.organizationalUnits.map((arn) => arn.split('/').at(-1)!);
    for (let unit = units.shift(); unit !== undefined; unit = units.shift()) {
      for await (const page of paginateListAccountsForParent({ client }, { ParentId: unit })) addAll(page.Accounts);
      for await (const page of paginateListOrganizationalUnitsForParent({ client }, { ParentId: unit })) {
        for (const { Id } of page.OrganizationalUnits ?? []) if (Id) units.push(Id);
      }
    }
    accounts.delete(this.account);
    return [...accounts].sort();
  }
}

/** Whether the role in the accounts has work to do, and not only a look. */
export function worksInAccounts(manifest: Manifest): boolean {
  return manifest.mode === 'reencrypt' || manifest.autoScaling;
}
