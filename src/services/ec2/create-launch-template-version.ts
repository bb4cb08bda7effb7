import type { CreateLaunchTemplateVersionRequest, CreateLaunchTemplateVersionResult } from '@aws-sdk/client-ec2';
import type { Call } from '../../authz/caller.ts';
import { hashParameters } from '../../idempotency/idempotency.ts';
import { dryRun, refuseAllBut } from './common.ts';
import {
  type LaunchTemplateDeps,
  requireVersion,
  templateNotFound,
  tokenUsed,
  useTemplate,
  versionNotFound,
} from './launch-template-access.ts';
import { checkLaunchData, checkVersionDescription, isEmpty, versionShape } from './launch-template-shapes.ts';

/** What is given replaces what the source version has, member by member and only at the top level (LT-3). */
export function overSourceVersion(
  source: Readonly<Record<string, unknown>> | undefined,
  given: object | undefined,
): Record<string, unknown> {
  const present = Object.entries(given ?? {}).filter(([, value]) => value !== undefined);
  return { ...source, ...Object.fromEntries(present) };
}

export const createLaunchTemplateVersion =
  (deps: LaunchTemplateDeps) =>
  async (call: Call, input: CreateLaunchTemplateVersionRequest): Promise<CreateLaunchTemplateVersionResult> => {
    refuseAllBut(input, [
      'DryRun',
      'ClientToken',
      'LaunchTemplateId',
      'LaunchTemplateName',
      'SourceVersion',
      'VersionDescription',
      'LaunchTemplateData',
    ]);
    const { template, name, permit } = await useTemplate(deps, call, 'ec2:CreateLaunchTemplateVersion', input);
    dryRun(input);
    if (!template) throw templateNotFound(name);
    checkVersionDescription(input.VersionDescription);
    const source = input.SourceVersion
      ? await requireVersion(deps.launchTemplates, template, input.SourceVersion)
      : undefined;
    const data = overSourceVersion(source?.data, isEmpty(input.LaunchTemplateData) ? {} : input.LaunchTemplateData);
    const Warning = checkLaunchData(data, deps.isInstanceType);

    const { accountId } = call.caller;
    const hash = await hashParameters(input);
    const use = input.ClientToken
      ? { account: accountId, region: call.region, action: 'ec2:CreateLaunchTemplateVersion', token: input.ClientToken }
      : undefined;
    const made = await deps.db.write(async (tx) => {
      const before = use && (await deps.idempotency.find(use, tx));
      if (before) {
        if (before.parametersHash !== hash) throw tokenUsed();
        return Number(before.resultId);
      }
      const version = await deps.launchTemplates.addVersion(tx, permit, template.id, call.caller.arn, {
        data,
        ...(input.VersionDescription === undefined ? {} : { description: input.VersionDescription }),
      });
      if (use) await deps.idempotency.remember(tx, use, hash, String(version.number));
      return version;
    });
    const version = typeof made === 'number' ? await deps.launchTemplates.version(template.id, made) : made;
    if (!version) throw versionNotFound(String(made), template.id);
    return { LaunchTemplateVersion: versionShape(template, version), ...(Warning ? { Warning } : {}) };
  };
