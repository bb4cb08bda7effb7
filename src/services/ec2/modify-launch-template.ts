import type { ModifyLaunchTemplateRequest, ModifyLaunchTemplateResult } from '@aws-sdk/client-ec2';
import type { Call } from '../../authz/caller.ts';
import { hashParameters } from '../../idempotency/idempotency.ts';
import { dryRun } from './common.ts';
import { missingParameter } from './errors.ts';
import {
  type LaunchTemplateDeps,
  requireVersion,
  templateNotFound,
  tokenUsed,
  useTemplate,
} from './launch-template-access.ts';
import { templateShape } from './launch-template-shapes.ts';

/** Moves the default version; `$Latest` is stored as the number it stands for now (LT-7). A repeated token changes nothing. */
export const modifyLaunchTemplate =
  (deps: LaunchTemplateDeps) =>
  async (call: Call, input: ModifyLaunchTemplateRequest): Promise<ModifyLaunchTemplateResult> => {
    const { template, name, permit } = await useTemplate(deps, call, 'ec2:ModifyLaunchTemplate', input);
    dryRun(input);
    if (!template) throw templateNotFound(name);
    if (!input.DefaultVersion) throw missingParameter('SetDefaultVersion');
    const { number } = await requireVersion(deps.launchTemplates, template, input.DefaultVersion);
    const { accountId } = call.caller;
    const hash = await hashParameters(input);
    const use = input.ClientToken
      ? { account: accountId, region: call.region, action: 'ec2:ModifyLaunchTemplate', token: input.ClientToken }
      : undefined;
    await deps.db.write(async (tx) => {
      const before = use && (await deps.idempotency.find(use, tx));
      if (before && before.parametersHash !== hash) throw tokenUsed();
      if (before) return;
      await deps.launchTemplates.setDefault(tx, permit, template.id, number);
      if (use) await deps.idempotency.remember(tx, use, hash, template.id);
    });
    const modified = await deps.launchTemplates.find(accountId, call.region, { id: template.id });
    if (!modified) throw templateNotFound(name);
    const tags = await deps.tags.of(accountId, call.region, [template.id]);
    return { LaunchTemplate: templateShape(modified, tags.get(template.id)) };
  };
