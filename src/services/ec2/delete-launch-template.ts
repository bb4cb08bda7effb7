import type {
  DeleteLaunchTemplateRequest,
  DeleteLaunchTemplateResult,
  DeleteLaunchTemplateVersionsRequest,
  DeleteLaunchTemplateVersionsResult,
} from '@aws-sdk/client-ec2';
import type { Call } from '../../authz/caller.ts';
import { dryRun } from './common.ts';
import { invalidParameterValue, missingParameter } from './errors.ts';
import { type LaunchTemplateDeps, templateNotFound, useTemplate, versionNumber } from './launch-template-access.ts';
import { templateShape } from './launch-template-shapes.ts';

export const deleteLaunchTemplate =
  (deps: LaunchTemplateDeps) =>
  async (call: Call, input: DeleteLaunchTemplateRequest): Promise<DeleteLaunchTemplateResult> => {
    const { template, name, permit } = await useTemplate(deps, call, 'ec2:DeleteLaunchTemplate', input);
    dryRun(input);
    if (!template) throw templateNotFound(name);
    await deps.db.write(async (tx) => {
      await deps.launchTemplates.delete(tx, permit, template.id);
      await deps.tags.removeAll(tx, call.caller.accountId, call.region, template.id);
    });
    return { LaunchTemplate: templateShape(template) };
  };

const VERSIONS_PER_CALL_MAX = 200;

/** LT-8: a bad number or the default version fails the whole call; numbers without a version are listed as such. */
export const deleteLaunchTemplateVersions =
  (deps: LaunchTemplateDeps) =>
  async (call: Call, input: DeleteLaunchTemplateVersionsRequest): Promise<DeleteLaunchTemplateVersionsResult> => {
    const { template, name, permit } = await useTemplate(deps, call, 'ec2:DeleteLaunchTemplateVersions', input);
    dryRun(input);
    if (!template) throw templateNotFound(name);
    if (!input.Versions?.length) throw missingParameter('LaunchTemplateVersion');
    if (input.Versions.length > VERSIONS_PER_CALL_MAX) {
      throw invalidParameterValue(`At most ${VERSIONS_PER_CALL_MAX} versions can be deleted in one call.`);
    }
    const numbers = [...new Set(input.Versions.map(versionNumber))];
    const existing = new Set((await deps.launchTemplates.versions(template.id)).map(({ number }) => number));
    await deps.db.write((tx) => deps.launchTemplates.deleteVersions(tx, permit, template.id, numbers));
    const shape = (number: number) => ({
      LaunchTemplateId: template.id,
      LaunchTemplateName: template.name,
      VersionNumber: number,
    });
    return {
      SuccessfullyDeletedLaunchTemplateVersions: numbers.filter((number) => existing.has(number)).map(shape),
      UnsuccessfullyDeletedLaunchTemplateVersions: numbers
        .filter((number) => !existing.has(number))
        .map((number) => ({
          ...shape(number),
          ResponseError: {
            Code: 'launchTemplateVersionDoesNotExist',
            Message: 'The specified launch template version does not exist.',
          },
        })),
    };
  };
