/** `ingot why`: what a denial was judged by, and the statement that would have allowed it. */
import { text as readText } from 'node:stream/consumers';
import { CloudTrailClient, paginateLookupEvents } from '@aws-sdk/client-cloudtrail';
import { DecodeAuthorizationMessageCommand, STSClient } from '@aws-sdk/client-sts';
import { credentialsOf, endpointOf } from './env.ts';
import { CliError, UsageError } from './error.ts';
import { printable } from './printable.ts';
import { Profiles } from './profiles.ts';

export interface WhyOptions {
  readonly data: string;
  readonly account: string;
  readonly region?: string;
  readonly hours: string;
  readonly json?: true;
}

const HOUR_MS = 3_600_000;

export async function explainDenial(subject: string, options: WhyOptions): Promise<void> {
  const hours = Number(options.hours);
  if (!(hours > 0)) throw new UsageError('--hours must be a number above 0.');
  const profiles = await Profiles.read(options.data);
  const profile = profiles.get(options.account);
  const config = {
    endpoint: endpointOf(profile, options.account),
    region: options.region ?? profile.region ?? 'us-east-1',
    credentials: await credentialsOf(profiles, options.account),
  };
  const sts = new STSClient(config);
  const given = subject === '-' ? await readText(process.stdin) : subject;
  const token = tokenIn(given);
  const denials = token ? [{ token }] : await denialsOf(new CloudTrailClient(config), given.trim(), hours);
  const told: object[] = [];
  for (const { token: EncodedMessage, ...event } of denials) {
    const { DecodedMessage } = await sts.send(new DecodeAuthorizationMessageCommand({ EncodedMessage }));
    told.push({ ...event, message: JSON.parse(DecodedMessage ?? '{}') as Message });
  }
  const text = options.json
    ? JSON.stringify(told, undefined, 2)
    : printable(told.map((one) => describeDenial(one as ToldDenial)).join('\n\n'));
  process.stdout.write(`${text}\n`);
}

/** The encoded message in an error text of EC2, or one that stands by itself; request ids are shorter. */
function tokenIn(text: string): string | undefined {
  const quoted = /Encoded authorization failure message: ([\w-]+)/.exec(text)?.[1];
  return quoted ?? /^[\w-]{80,}$/.exec(text.trim())?.[0];
}

interface Event {
  readonly requestID?: string;
  readonly eventName: string;
  readonly eventSource: string;
  readonly eventTime: string;
  readonly userAgent?: string;
  readonly errorCode?: string;
  readonly errorMessage?: string;
  readonly additionalEventData?: { readonly encodedAuthorizationMessage?: string };
}

interface Denial {
  readonly token: string;
  readonly event?: Event;
}

/** Denials among the events of one request: its own, and those of calls that services made on its behalf. */
async function denialsOf(client: CloudTrailClient, requestId: string, hours: number): Promise<Denial[]> {
  const denials: Denial[] = [];
  const failures: string[] = [];
  let seen = 0;
  const since = { StartTime: new Date(Date.now() - hours * HOUR_MS) };
  for await (const { Events = [] } of paginateLookupEvents({ client, pageSize: 50 }, since)) {
    for (const { CloudTrailEvent = '{}' } of Events) {
      const event = JSON.parse(CloudTrailEvent) as Event;
      if (event.requestID !== requestId) continue;
      seen += 1;
      const token = event.additionalEventData?.encodedAuthorizationMessage;
      if (token) denials.push({ token, event });
      else if (event.errorCode) failures.push(`${event.eventName}: ${event.errorCode}: ${event.errorMessage}`);
    }
  }
  if (denials.length > 0) return denials.reverse();
  if (failures.length > 0)
    throw new CliError(`No policy refused this request. It failed otherwise:\n${failures.join('\n')}`);
  if (seen > 0) throw new CliError('This request was not refused.');
  throw new CliError(
    `No event of the last ${hours} hours has the request id ${requestId} in this account and region; see --region and --hours.`,
  );
}

interface Place {
  readonly layer: string;
  readonly policy: string;
  readonly sid?: string;
  readonly index: number;
}
interface Message {
  readonly explicitDeny: boolean;
  readonly reason: string;
  readonly layer: string;
  readonly context: {
    readonly principal: { readonly id: string; readonly arn: string };
    readonly action: string;
    readonly resource: string;
    readonly conditions: {
      readonly items: readonly { key: string; values: { items: readonly { value: string }[] } }[];
    };
  };
  readonly matchedStatements: {
    readonly items: readonly {
      statementId: string;
      effect: string;
      sourcePolicyId: string;
      sourcePolicyType: string;
      statementIndex: number;
    }[];
  };
  readonly nearMisses: readonly (Place & {
    readonly failed: {
      readonly element: string;
      readonly operator?: string;
      readonly key?: string;
      readonly wanted?: readonly string[];
      readonly given?: readonly string[];
    };
  })[];
  readonly remedies: readonly (Place & { readonly kind: 'add' | 'remove'; readonly statement?: object })[];
  readonly remediesSuffice: boolean;
}
interface ToldDenial {
  readonly event?: Event;
  readonly message: Message;
}

function describeDenial({ event, message }: ToldDenial): string {
  const { context, matchedStatements, nearMisses, remedies } = message;
  const lines = [`Denied: ${context.action} on ${context.resource}, ${message.reason}.`];
  if (event) lines.push(row('call', `${event.eventName} of ${event.eventSource}, ${event.eventTime}`));
  lines.push(row('principal', `${context.principal.arn} (${context.principal.id})`));
  lines.push(row('layer', `${message.layer}${message.explicitDeny ? ', by a Deny statement' : ', by silence'}`));
  lines.push('', 'Condition values of the request:');
  for (const { key, values } of context.conditions.items) {
    lines.push(`  ${key} = ${values.items.map(({ value }) => value).join(', ')}`);
  }
  lines.push('', matchedStatements.items.length > 0 ? 'Statements that matched:' : 'No statement matched.');
  for (const one of matchedStatements.items) {
    const place = { layer: one.sourcePolicyType, policy: one.sourcePolicyId, index: one.statementIndex };
    lines.push(`  ${one.effect} ${named({ ...place, ...(one.statementId ? { sid: one.statementId } : {}) })}`);
  }
  if (nearMisses.length > 0) lines.push('', 'Statements that came close:');
  for (const { failed, ...place } of nearMisses) {
    lines.push(`  ALLOW ${named(place)}: ${failed.key === undefined ? 'names another resource' : missed(failed)}`);
  }
  lines.push('', ...remedyLines(remedies, message.remediesSuffice));
  return lines.join('\n');
}

function remedyLines(remedies: Message['remedies'], suffice: boolean): string[] {
  if (remedies.length === 0) return ['No policy statement can allow this.'];
  const lines = [suffice ? 'It would be allowed with:' : 'Besides what no policy can change, it needs:'];
  for (const remedy of remedies) {
    if (remedy.kind === 'remove') {
      lines.push(`  without, or narrowed: ${remedy.index < 0 ? `a statement of the ${remedy.policy}` : named(remedy)}`);
    } else {
      lines.push(`  in ${remedy.policy}:`);
      lines.push(
        ...JSON.stringify(remedy.statement, undefined, 2)
          .split('\n')
          .map((line) => `    ${line}`),
      );
    }
  }
  return lines;
}

function missed({ operator, key, wanted = [], given }: Message['nearMisses'][number]['failed']): string {
  const has = given === undefined ? 'is absent or not shown' : `is ${given.join(', ')}`;
  return `${operator} wants ${key} ${wanted.join(' or ')}, and it ${has}`;
}

function named({ layer, policy, sid, index }: Place): string {
  return `${sid ? `"${sid}"` : `statement ${index + 1}`} of ${policy} (${layer})`;
}

function row(name: string, value: string): string {
  return `  ${name.padEnd(9)}  ${value}`;
}
