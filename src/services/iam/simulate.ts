/** The policy simulator: SimulatePrincipalPolicy, SimulateCustomPolicy, and the context keys that policies ask for. */
import type * as aws from '@aws-sdk/client-iam';
import { contextKeysOf } from '../../../policy/context-keys.ts';
import { checkPolicy, type PolicyKind, PolicyMalformed } from '../../../policy/document.ts';
import { accountOfPrincipal, type PrincipalView } from '../../../policy/principals.ts';
import type { ConditionValue } from '../../authz/authorizer.ts';
import type { Call } from '../../authz/caller.ts';
import { ApiError } from '../../errors.ts';
import { parseEntityArn, type Tagging } from '../../identity/entities.ts';
import type { SimulatedPolicy, SimulatedPrincipal, Simulation } from '../../identity/simulator.ts';
import type { OperationOf } from '../operation.ts';
import { authorize, authorizeOn, type Iam, lookUp, noSuchEntity, validation } from './iam.ts';

type PrincipalInput = aws.SimulatePrincipalPolicyRequest;
type CustomInput = aws.SimulateCustomPolicyRequest;

export const simulatePrincipalPolicy =
  (iam: Iam): OperationOf<aws.SimulatePrincipalPolicyCommand> =>
  async (call, input) => {
    if (input.PolicyExclusionList !== undefined) throw unsupported('PolicyExclusionList');
    const principal = await principalOf(iam, call, 'iam:SimulatePrincipalPolicy', input.PolicySourceArn);
    const own = await iam.identity.simulator.policiesOf(principal);
    if (!own) throw missing(principal);
    const caller = input.CallerArn === undefined ? undefined : await callerOf(iam, call, input.CallerArn);
    if (input.ResourcePolicy !== undefined && principal.type !== 'user' && !caller) throw callerRequired();
    const boundary = boundaryOf(input) ?? own.boundary;
    return simulated(iam, input, {
      principal: viewOf(caller ?? principal),
      identity: [...own.identity, ...policiesIn(input.PolicyInputList, 'PolicyInputList')],
      ...(boundary ? { boundary } : {}),
      context: await iam.identity.simulator.contextOf(caller ?? principal),
      organization: true,
    });
  };

export const simulateCustomPolicy =
  (iam: Iam): OperationOf<aws.SimulateCustomPolicyCommand> =>
  async (call, input) => {
    await authorize(iam, call, 'iam:SimulateCustomPolicy', { arn: '*' });
    if (input.OrderedOrganizationPolicyInputList !== undefined) {
      throw unsupported('OrderedOrganizationPolicyInputList');
    }
    const caller = input.CallerArn === undefined ? undefined : await callerOf(iam, call, input.CallerArn);
    if (input.ResourcePolicy !== undefined && !caller) throw callerRequired();
    const boundary = boundaryOf(input);
    return simulated(iam, input, {
      principal: viewOf(caller ?? nobodyOf(call)),
      identity: policiesIn(input.PolicyInputList, 'PolicyInputList'),
      ...(boundary ? { boundary } : {}),
      context: caller ? await iam.identity.simulator.contextOf(caller) : new Map(),
      organization: false,
    });
  };

export const getContextKeysForPrincipalPolicy =
  (iam: Iam): OperationOf<aws.GetContextKeysForPrincipalPolicyCommand> =>
  async (call, input) => {
    const principal = await principalOf(iam, call, 'iam:GetContextKeysForPrincipalPolicy', input.PolicySourceArn);
    const own = await iam.identity.simulator.policiesOf(principal);
    if (!own) throw missing(principal);
    return { ContextKeyNames: keysOf([...own.identity, ...policiesIn(input.PolicyInputList, 'PolicyInputList')]) };
  };

export const getContextKeysForCustomPolicy =
  (iam: Iam): OperationOf<aws.GetContextKeysForCustomPolicyCommand> =>
  async (call, input) => {
    await authorize(iam, call, 'iam:GetContextKeysForCustomPolicy', { arn: '*' });
    return { ContextKeyNames: keysOf(policiesIn(input.PolicyInputList, 'PolicyInputList')) };
  };

function keysOf(policies: readonly SimulatedPolicy[]): string[] {
  const keys = policies.flatMap(({ document }) => contextKeysOf(document));
  return [...new Map(keys.map((key) => [key.toLowerCase(), key])).values()].sort();
}

// Who -------------------------------------------------------------------------------------------------------------------

async function principalOf(
  iam: Iam,
  call: Call,
  action: 'iam:SimulatePrincipalPolicy' | 'iam:GetContextKeysForPrincipalPolicy',
  arn: string | undefined,
): Promise<SimulatedPrincipal> {
  const name = parseEntityArn(arn ?? '');
  if (!name || (name.type !== 'user' && name.type !== 'group' && name.type !== 'role')) {
    throw invalid(`Invalid Entity Arn: ${arn} does not clearly define entity type and name.`);
  }
  await authorizeOn(iam, call, action, name.type, name.name);
  // IAM knows no other account than the caller's.
  if (name.accountId !== call.caller.accountId) throw invalid(`Invalid Entity Arn: ${arn} is in another account.`);
  const found = await lookUp(iam, name.accountId, name.type, name.name);
  if (!found || found.arn !== arn) throw missing(name);
  const tags = 'tags' in found ? (found.tags as Tagging) : {};
  return { type: name.type, accountId: found.accountId, id: found.id, arn: found.arn, name: found.name, tags };
}

/** CallerArn: a user, of the own account if policies of the resource are to be judged as real. */
async function callerOf(iam: Iam, call: Call, arn: string): Promise<SimulatedPrincipal> {
  const name = parseEntityArn(arn);
  if (name?.type !== 'user') throw invalid(`Invalid caller ${arn}: only the ARN of an IAM user can be given.`);
  const { accountId } = name;
  const found = accountId === call.caller.accountId ? await iam.identity.users.lookUp(accountId, name.name) : undefined;
  return { type: 'user', accountId, id: found?.id ?? arn, arn, name: name.name, tags: found?.tags ?? {} };
}

function nobodyOf(call: Call): SimulatedPrincipal {
  const { accountId } = call.caller;
  const arn = `arn:aws:iam::${accountId}:user/`;
  return { type: 'user', accountId, id: arn, arn, name: '', tags: {} };
}

/** A role acts by sessions; this one has no name, so that no policy names it. */
function viewOf({ type, accountId, id, arn, name }: SimulatedPrincipal): PrincipalView {
  const common = { accountId, principalArn: arn, uniqueId: id };
  if (type !== 'role') return { ...common, type: 'User', arn };
  return { ...common, type: 'AssumedRole', arn: `arn:aws:sts::${accountId}:assumed-role/${name}/` };
}

function missing({ type, name }: { readonly type: string; readonly name: string }): ApiError {
  return noSuchEntity(`The ${type} with name ${name} cannot be found.`);
}

// What ------------------------------------------------------------------------------------------------------------------

interface Stage {
  readonly principal: PrincipalView;
  readonly identity: readonly SimulatedPolicy[];
  readonly boundary?: SimulatedPolicy;
  readonly context: Map<string, ConditionValue>;
  readonly organization: boolean;
}

const RESULTS_MAX = 1000;

async function simulated(iam: Iam, input: PrincipalInput | CustomInput, stage: Stage) {
  if (input.ResourceHandlingOption !== undefined) throw unsupported('ResourceHandlingOption');
  const context = new Map(stage.context);
  for (const entry of input.ContextEntries ?? []) {
    if (!entry.ContextKeyName) throw invalid('A context entry has no name.');
    context.set(entry.ContextKeyName.toLowerCase(), contextValue(entry));
  }
  const actions = (input.ActionNames ?? []).map(requireAction);
  const resources = input.ResourceArns?.length ? input.ResourceArns.map(requireResource) : ['*'];
  const resourcePolicy =
    input.ResourcePolicy === undefined
      ? undefined
      : checked({ name: 'ResourcePolicy', document: input.ResourcePolicy, source: 'resource' }, 'key');
  const judge = await iam.identity.simulator.prepare({
    ...stage,
    context,
    ...(resourcePolicy ? { resourcePolicy } : {}),
    resourceAccount: input.ResourceOwner === undefined ? stage.principal.accountId : ownerOf(input.ResourceOwner),
  });
  // Every action with every resource, of which only one page is judged.
  const limit = input.MaxItems ?? RESULTS_MAX;
  if (limit < 1 || limit > RESULTS_MAX) throw validation(`MaxItems must be between 1 and ${RESULTS_MAX}.`);
  const first = input.Marker === undefined ? 0 : readMarker(input.Marker);
  const total = actions.length * resources.length;
  const EvaluationResults: aws.EvaluationResult[] = [];
  for (let at = first; at < Math.min(total, first + limit); at += 1) {
    const action = actions[Math.floor(at / resources.length)]!;
    const resource = resources[at % resources.length]!;
    EvaluationResults.push(shown(action, resource, judge(action, resource)));
  }
  const IsTruncated = first + limit < total;
  return { EvaluationResults, IsTruncated, ...(IsTruncated ? { Marker: newMarker(first + limit) } : {}) };
}

function shown(action: string, resource: string, simulation: Simulation): aws.EvaluationResult {
  const { outcome, allowedByBoundary, allowedByOrganization } = simulation;
  const MatchedStatements = simulation.matched.map(({ policy, range }) => ({
    SourcePolicyId: policy.name,
    SourcePolicyType: policy.source,
    StartPosition: { Line: range.start.line, Column: range.start.column },
    EndPosition: { Line: range.end.line, Column: range.end.column },
  }));
  const detail =
    allowedByBoundary === undefined
      ? {}
      : { PermissionsBoundaryDecisionDetail: { AllowedByPermissionsBoundary: allowedByBoundary } };
  const MissingContextValues = [...simulation.missing];
  return {
    EvalActionName: action,
    EvalResourceName: resource,
    EvalDecision: outcome,
    MatchedStatements,
    MissingContextValues,
    ...detail,
    ...(allowedByOrganization === undefined
      ? {}
      : { OrganizationsDecisionDetail: { AllowedByOrganizations: allowedByOrganization } }),
    ...(resource === '*'
      ? {}
      : {
          ResourceSpecificResults: [
            {
              EvalResourceName: resource,
              EvalResourceDecision: outcome,
              MatchedStatements,
              MissingContextValues,
              ...detail,
            },
          ],
        }),
  };
}

function policiesIn(documents: readonly string[] | undefined, list: string): SimulatedPolicy[] {
  return (documents ?? []).map((document, index) =>
    checked({ name: `${list}.${index + 1}`, document, source: 'none' }, 'identity'),
  );
}

function boundaryOf(input: PrincipalInput | CustomInput): SimulatedPolicy | undefined {
  const [document, ...more] = input.PermissionsBoundaryPolicyInputList ?? [];
  if (more.length > 0) throw invalid('A principal has at most one permissions boundary.');
  if (document === undefined) return undefined;
  return checked({ name: 'PermissionsBoundaryPolicyInputList.1', document, source: 'none' }, 'identity');
}

function checked(policy: SimulatedPolicy, kind: PolicyKind): SimulatedPolicy {
  try {
    checkPolicy(policy.document, kind);
    return policy;
  } catch (cause) {
    if (!(cause instanceof PolicyMalformed)) throw cause;
    throw new ApiError('InvalidInput', `${policy.name}: ${cause.detail}`, { cause });
  }
}

function requireAction(action: string): string {
  if (/^[A-Za-z0-9-]+:[A-Za-z0-9]+$/.test(action)) return action;
  throw invalid(`Invalid action name ${action}: it must be a service prefix and the name of an operation.`);
}

function requireResource(arn: string): string {
  if (arn === '*' || (arn.startsWith('arn:') && arn.split(':').length >= 6)) return arn;
  throw invalid(`Invalid resource ARN ${arn}.`);
}

function ownerOf(text: string): string {
  const account = accountOfPrincipal(text);
  if (account === undefined) throw invalid(`Invalid resource owner ${text}: it must be the ARN of an account.`);
  return account;
}

const CONTEXT_TYPES = /^(?:string|numeric|boolean|ip|binary|date)(List)?$/;

function contextValue(entry: aws.ContextEntry): ConditionValue {
  const { ContextKeyName: name, ContextKeyType: type, ContextKeyValues: values = [] } = entry;
  const match = CONTEXT_TYPES.exec(type ?? '');
  if (!match) throw invalid(`The context key ${name} has no known type.`);
  if (match[1]) return values;
  if (values.length !== 1) throw invalid(`The context key ${name} of type ${type} must have one value.`);
  return values[0]!;
}

function readMarker(marker: string): number {
  const match = /^s1:(\d{1,12})$/.exec(Buffer.from(marker, 'base64url').toString());
  if (!match) throw validation('Invalid Marker.');
  return Number(match[1]);
}
function newMarker(at: number): string {
  return Buffer.from(`s1:${at}`).toString('base64url');
}

function unsupported(name: string): ApiError {
  return invalid(`The parameter ${name} is not supported by Ingot.`);
}
function invalid(message: string): ApiError {
  return new ApiError('InvalidInput', message);
}
function callerRequired(): ApiError {
  return invalid('CallerArn is required with a ResourcePolicy: it says whom the policy is to be judged for.');
}
