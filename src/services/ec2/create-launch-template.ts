import type { CreateLaunchTemplateRequest, CreateLaunchTemplateResult } from '@aws-sdk/client-ec2';
import type { Call } from '../../authz/caller.ts';
import { hashParameters } from '../../idempotency/idempotency.ts';
import type { LaunchTemplateRecord } from '../../launch-templates/launch-templates.ts';
import { authorizeOne, authorizeTagsOnCreate, dryRun, refuseAllBut, requestTagContext } from './common.ts';
import { ec2Error, missingParameter } from './errors.ts';
import { type LaunchTemplateDeps, launchTemplateArn, tokenUsed } from './launch-template-access.ts';
import { checkLaunchData, checkVersionDescription, templateShape } from './launch-template-shapes.ts';
import { tagSpecifications } from './tag-specifications.ts';

const NAME = /^[A-Za-z0-9()./_-]{3,128}$/;

/** LT-10 to LT-13. A dry run stops at authorization, before anything else is looked at. */
export const createLaunchTemplate =
  (deps: LaunchTemplateDeps) =>
  async (call: Call, input: CreateLaunchTemplateRequest): Promise<CreateLaunchTemplateResult> => {
    refuseAllBut(input, [
      'DryRun',
      'ClientToken',
      'LaunchTemplateName',
      'VersionDescription',
      'LaunchTemplateData',
      'TagSpecifications',
    ]);
    const { accountId } = call.caller;
    const tags = tagSpecifications(input.TagSpecifications, ['launch-template']).get('launch-template') ?? [];
    const resource = { arn: launchTemplateArn(call.region, accountId, '*') };
    const permit = await authorizeOne(
      deps.authorizer,
      call,
      'ec2:CreateLaunchTemplate',
      resource,
      requestTagContext(tags),
    );
    await authorizeTagsOnCreate(deps.authorizer, call, 'CreateLaunchTemplate', [{ resource, tags }]);
    dryRun(input);

    const name = input.LaunchTemplateName;
    if (!name) throw missingParameter('LaunchTemplateName');
    if (!NAME.test(name)) {
      throw ec2Error(
        'InvalidLaunchTemplateName.MalformedException',
        'Launch template names must be between 3 and 128 characters long, and may contain letters, numbers, and the following characters: - ( ) . / _',
      );
    }
    checkVersionDescription(input.VersionDescription);
    const Warning = checkLaunchData(input.LaunchTemplateData, deps.isInstanceType);
    const data = input.LaunchTemplateData as Record<string, unknown>;
    const description = input.VersionDescription;

    const hash = await hashParameters(input);
    const use = input.ClientToken
      ? { account: accountId, region: call.region, action: 'ec2:CreateLaunchTemplate', token: input.ClientToken }
      : undefined;
    const made = await deps.db.write(async (tx): Promise<LaunchTemplateRecord | { replayOf: string }> => {
      const before = use && (await deps.idempotency.find(use, tx));
      if (before) {
        if (before.parametersHash !== hash) throw tokenUsed();
        return { replayOf: before.resultId };
      }
      const { template } = await deps.launchTemplates.create(
        tx,
        permit,
        { ownerId: accountId, region: call.region, name, createdBy: call.caller.arn },
        { data, ...(description === undefined ? {} : { description }) },
      );
      await deps.tags.put(tx, accountId, call.region, 'launch-template', template.id, tags);
      if (use) await deps.idempotency.remember(tx, use, hash, template.id);
      return template;
    });
    const template =
      'replayOf' in made ? await deps.launchTemplates.find(accountId, call.region, { id: made.replayOf }) : made;
    // A replay is answered only while nothing has happened to the template (LT-12).
    if (template?.latestVersion !== 1) throw tokenUsed();
    return { LaunchTemplate: templateShape(template, tags), ...(Warning ? { Warning } : {}) };
  };
