/** Users, roles, sessions, service-linked roles and account roots, as the tools are told of them. */
import { GetRoleCommand, GetUserCommand, IAMClient } from '@aws-sdk/client-iam';
import { parseArn } from '../../policy/arn.ts';
import { accountOfPrincipal, type PrincipalView } from '../../policy/principals.ts';
import { UsageError } from '../error.ts';
import { isMissing, type Seen, type Views } from './views.ts';

export interface Principal {
  readonly kind: 'user' | 'role' | 'service-linked-role' | 'root';
  readonly account: string;
  /** User, role or root, in the spelling policies name it by. */
  readonly arn: string;
  /** Name of the user or role, without its path. */
  readonly name: string;
  /** The session, where one was named. */
  readonly sessionArn?: string;
}

/** Roles that AWS services launch with (P-12, P-15). */
const SERVICE_LINKED: Readonly<Record<string, string>> = {
  autoscaling: 'autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling',
  spot: 'spot.amazonaws.com/AWSServiceRoleForEC2Spot',
  spotfleet: 'spotfleet.amazonaws.com/AWSServiceRoleForEC2SpotFleet',
};

/**
 * Reads what a user gives for a principal: an ARN, an account id (its root user), or `autoscaling`, `spot`, `spotfleet`
 * for the service-linked role of `account`, whose partition is `aws` unless told.
 *
 * @throws {UsageError} for anything else.
 */
export function readPrincipal(text: string, account: string, partition = 'aws'): Principal {
  const linked = Object.hasOwn(SERVICE_LINKED, text) ? SERVICE_LINKED[text] : undefined;
  const whole = linked ? `arn:${partition}:iam::${account}:role/aws-service-role/${linked}` : text;
  const root = accountOfPrincipal(whole);
  if (root !== undefined) {
    const arn = whole === root ? `arn:${partition}:iam::${root}:root` : whole;
    return { kind: 'root', account: root, arn, name: 'root' };
  }
  const parts = parseArn(whole);
  const [type = '', ...rest] = parts?.resource.split('/') ?? [];
  const name = rest.at(-1);
  if (parts?.service === 'iam' && name && type === 'user') {
    return { kind: 'user', account: parts.account, arn: whole, name };
  }
  if (parts?.service === 'iam' && name && type === 'role') {
    const kind = rest[0] === 'aws-service-role' ? 'service-linked-role' : 'role';
    return { kind, account: parts.account, arn: whole, name };
  }
  const [role, session] = rest;
  if (parts?.service === 'sts' && type === 'assumed-role' && role && session) {
    const arn = `arn:${parts.partition}:iam::${parts.account}:role/${role}`;
    return { kind: 'role', account: parts.account, arn, name: role, sessionArn: whole };
  }
  throw new UsageError(
    `${JSON.stringify(text)} names no principal: give the ARN of a user, role, session or account root, an account id, ` +
      `or one of ${Object.keys(SERVICE_LINKED).join(', ')}.`,
  );
}

/** What IAM says of a principal that exists. */
export interface KnownPrincipal {
  /** Corrected: the ARN of a session's role has a path that the session does not show. */
  readonly principal: Principal;
  /** `AIDA…` or `AROA…`, or the account id of a root user. */
  readonly uniqueId: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly boundaryArn?: string;
}

/** Looks a principal up in IAM; `missing` where its account has none of that name. */
export async function lookUpPrincipal(views: Views, principal: Principal): Promise<Seen<KnownPrincipal | 'missing'>> {
  const { account, name, kind, arn } = principal;
  if (kind === 'root') return { seen: true, value: { principal, uniqueId: account, tags: {} } };
  const wants = kind === 'user' ? 'iam:GetUser' : 'iam:GetRole';
  return views.once(`principal ${arn}`, () =>
    views.look({ what: `the ${kind} ${arn}`, wants, account }, async (aws) => {
      const iam = aws.use(IAMClient);
      try {
        if (kind === 'user') {
          const { User: user } = await iam.send(new GetUserCommand({ UserName: name }));
          return known(principal, { ...user, Id: user?.UserId });
        }
        const { Role: role } = await iam.send(new GetRoleCommand({ RoleName: name }));
        return known(principal, { ...role, Id: role?.RoleId });
      } catch (error) {
        if (isMissing(error)) return 'missing';
        throw error;
      }
    }),
  );
}

interface Described {
  readonly Arn?: string | undefined;
  readonly Id: string | undefined;
  readonly Tags?: readonly { Key: string | undefined; Value: string | undefined }[] | undefined;
  readonly PermissionsBoundary?: { PermissionsBoundaryArn?: string | undefined } | undefined;
}

function known(principal: Principal, { Arn, Id, Tags, PermissionsBoundary }: Described): KnownPrincipal {
  const boundaryArn = PermissionsBoundary?.PermissionsBoundaryArn;
  return {
    principal: { ...principal, arn: Arn ?? principal.arn },
    uniqueId: Id ?? '',
    tags: Object.fromEntries((Tags ?? []).map(({ Key, Value }) => [Key ?? '', Value ?? ''])),
    ...(boundaryArn ? { boundaryArn } : {}),
  };
}

/** The principal as the evaluator judges it. A role without a named session is judged as some session of it. */
export function viewOf(principal: Principal, uniqueId: string): PrincipalView {
  const { account: accountId, arn, kind, name } = principal;
  if (kind === 'root') return { accountId, type: 'Account', arn, principalArn: arn, uniqueId: accountId };
  if (kind === 'user') return { accountId, type: 'User', arn, principalArn: arn, uniqueId };
  const session = principal.sessionArn ?? `arn:${arn.split(':')[1]}:sts::${accountId}:assumed-role/${name}/session`;
  return { accountId, type: 'AssumedRole', arn: session, principalArn: arn, uniqueId };
}
