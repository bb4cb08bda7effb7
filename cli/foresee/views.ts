/**
 * Whose eyes the tools look with. A caller sees its own account; further accounts are looked into with the credentials
 * given for them. What cannot be seen is told as such, with the permission that is wanted, and never guessed.
 */
import type { Aws } from '../aws.ts';

/** Something that could not be looked at. */
export interface Unseen {
  readonly seen: false;
  /** For example `the key policy of arn:aws:kms:…`. */
  readonly what: string;
  /** The action that would show it, such as `kms:GetKeyPolicy`. */
  readonly wants: string;
  /** The account in which it is wanted. */
  readonly account: string;
}

export type Seen<Value> = { readonly seen: true; readonly value: Value } | Unseen;

export class Views {
  /** The caller's own credentials and region. */
  readonly own: Aws;
  readonly account: string;
  /** User, session or root that the credentials are of. */
  readonly arn: string;
  readonly #others: ReadonlyMap<string, Aws>;
  readonly #known: Map<string, Promise<unknown>>;

  constructor(
    own: Aws,
    identity: { readonly account: string; readonly arn: string },
    others: ReadonlyMap<string, Aws> = new Map(),
    known = new Map<string, Promise<unknown>>(),
  ) {
    this.own = own;
    this.account = identity.account;
    this.arn = identity.arn;
    this.#others = others;
    this.#known = known;
  }

  /** Views of the caller, and of the accounts of further credentials. */
  static async of(own: Aws, ...others: readonly Aws[]): Promise<Views> {
    const seen = new Map<string, Aws>();
    for (const other of others) seen.set((await other.identity()).account, other);
    return new Views(own, await own.identity(), seen);
  }

  /** `aws`, `aws-cn` or `aws-us-gov`. */
  get partition(): string {
    return this.arn.split(':')[1] ?? 'aws';
  }

  get region(): string {
    return this.own.region;
  }

  /** Credentials in this account, in the region of the view. */
  inAccount(account: string): Aws | undefined {
    if (account === this.account) return this.own;
    return this.#others.get(account)?.inRegion(this.region);
  }

  /** Every account that can be looked into, the caller's own first. */
  get accounts(): string[] {
    return [...new Set([this.account, ...this.#others.keys()])];
  }

  /** The same eyes, with nothing known yet: what was changed meanwhile is seen. */
  anew(): Views {
    return new Views(this.own, this, this.#others);
  }

  /** The same eyes in another region. */
  inRegion(region: string): Views {
    if (region === this.region) return this;
    return new Views(this.own.inRegion(region), this, this.#others, this.#known);
  }

  /** Reads once; every later question for the same `what` has the same answer. */
  once<Value>(what: string, read: () => Promise<Value>): Promise<Value> {
    let known = this.#known.get(what) as Promise<Value> | undefined;
    if (!known) {
      known = read();
      this.#known.set(what, known);
    }
    return known;
  }

  /** Reads with credentials in `account`; a denial, or that there are none, is told as what could not be seen. */
  async look<Value>(
    place: Omit<Unseen, 'seen'>,
    read: (aws: Aws) => Promise<Value>,
    aws: Aws | undefined = this.inAccount(place.account),
  ): Promise<Seen<Value>> {
    if (!aws) return { seen: false, ...place };
    try {
      return { seen: true, value: await read(aws) };
    } catch (error) {
      if (isDenial(error)) return { seen: false, ...place };
      throw error;
    }
  }
}

const DENIALS = /^(AccessDenied(Exception)?|UnauthorizedOperation|UnauthorizedException|AuthFailure)$/;

export function isDenial(error: unknown): boolean {
  return error instanceof Error && DENIALS.test(error.name);
}

/** Whether a service said that there is no such thing. */
export function isMissing(error: unknown): boolean {
  // `Unavailable` alone is a server that is overloaded.
  const missing = /((NotFound|NoSuchEntity)(Exception)?|^InvalidAMIID\.Unavailable)$/;
  return error instanceof Error && missing.test(error.name);
}

/** `the key policy of …: wants kms:GetKeyPolicy in account 111122223333`. */
export function describeUnseen({ what, wants, account }: Unseen): string {
  return `${what} could not be seen: it wants ${wants} in account ${account}`;
}
