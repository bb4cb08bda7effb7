import type { ModifyLaunchTemplateRequest, ModifyLaunchTemplateResult } from '@aws-sdk/client-ec2';
import type { Call } from '../../authz/caller.ts';
import { dryRun } from './common.ts';
import { missingParameter } from './errors.ts';
import { type LaunchTemplateDeps, requireVersion, templateNotFound, useTemplate } from './launch-template-access.ts';
import { templateShape } from './launch-template-shapes.ts';

/** Moves the default version; `$Latest` is stored as the number it stands for now (LT-7). Repeating it changes nothing. */
export const modifyLaunchTemplate =
  (deps: LaunchTemplateDeps) =>
  async (call: Call, input: ModifyLaunchTemplateRequest): Promise<ModifyLaunchTemplateResult> => {
    const { template, name, permit } = await useTemplate(deps, call, 'ec2:ModifyLaunchTemplate', input);
    dryRun(input);
    if (!template) throw templateNotFound(name);
    if (!input.DefaultVersion) throw missingParameter('SetDefaultVersion');
    const { number } = await requireVersion(deps.launchTemplates, template, input.DefaultVersion);
    await deps.db.write((tx) => deps.launchTemplates.setDefault(tx, permit, template.id, number));
    const tags = await deps.tags.of(call.caller.accountId, call.region, [template.id]);
    return { LaunchTemplate: templateShape({ ...template, defaultVersion: number }, tags.get(template.id)) };
  };
