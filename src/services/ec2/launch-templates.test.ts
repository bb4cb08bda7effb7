/** Launch templates and their versions (ec2-encryption 1.7). */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { LaunchTemplate, LaunchTemplateVersion } from '@aws-sdk/client-ec2';
import type { Call } from '../../authz/caller.ts';
import { resolveLaunchTemplate } from './launch-template-access.ts';
import { openTestEc2, refused, type TestEc2 } from './test-ec2.ts';

let test: TestEc2;
let build: Call;
let count = 0;
const fresh = () => `template-${++count}`;

before(async () => {
  test = await openTestEc2();
  build = test.as(test.build);
});
after(() => test[Symbol.asyncDispose]());

const DATA = { InstanceType: 't3.micro', ImageId: 'ami-0123456789abcdef0' };

async function create(more: object = {}): Promise<LaunchTemplate & { LaunchTemplateId: string }> {
  const input = { LaunchTemplateName: fresh(), LaunchTemplateData: DATA, ...more };
  const { LaunchTemplate } = await test.call<{ LaunchTemplate: LaunchTemplate }>(build, 'CreateLaunchTemplate', input);
  return LaunchTemplate as LaunchTemplate & { LaunchTemplateId: string };
}
async function addVersion(LaunchTemplateId: string, LaunchTemplateData: object, more: object = {}) {
  const { LaunchTemplateVersion } = await test.call<{ LaunchTemplateVersion: LaunchTemplateVersion }>(
    build,
    'CreateLaunchTemplateVersion',
    { LaunchTemplateId, LaunchTemplateData, ...more },
  );
  return LaunchTemplateVersion;
}
const versions = async (input: object) => {
  const answer = await test.call<{ LaunchTemplateVersions: LaunchTemplateVersion[] }>(
    build,
    'DescribeLaunchTemplateVersions',
    input,
  );
  return answer.LaunchTemplateVersions;
};

describe('CreateLaunchTemplate', () => {
  it('LT-7: the first version is number 1 and the default', async () => {
    const template = await create({
      VersionDescription: 'first',
      TagSpecifications: [{ ResourceType: 'launch-template', Tags: [{ Key: 'a', Value: 'b' }] }],
    });
    assert.equal(template.DefaultVersionNumber, 1);
    assert.equal(template.LatestVersionNumber, 1);
    assert.equal(template.CreatedBy, build.caller.arn);
    const { LaunchTemplateId } = template;
    const [version] = await versions({ LaunchTemplateId });
    assert.deepEqual(version?.LaunchTemplateData, DATA);
    assert.equal(version?.VersionDescription, 'first');
    assert.equal(version?.DefaultVersion, true);
    const { LaunchTemplates } = await test.call<{ LaunchTemplates: LaunchTemplate[] }>(
      build,
      'DescribeLaunchTemplates',
      {
        Filters: [{ Name: 'tag:a', Values: ['b'] }],
      },
    );
    assert.deepEqual(
      LaunchTemplates.map((each) => [each.LaunchTemplateId, each.Tags]),
      [[LaunchTemplateId, [{ Key: 'a', Value: 'b' }]]],
    );
  });

  const refusals: [name: string, input: object, code: string, message?: string][] = [
    ['LT-10: a short name', { LaunchTemplateName: 'ab' }, 'InvalidLaunchTemplateName.MalformedException'],
    [
      'LT-11: empty data',
      { LaunchTemplateData: {} },
      'MissingParameter',
      'No launch template data was provided. Launch template data is required to create a launch template.',
    ],
    [
      'LT-11: only empty structures',
      { LaunchTemplateData: { Placement: {}, BlockDeviceMappings: [] } },
      'MissingParameter',
    ],
    ['LT-5: a malformed image id', { LaunchTemplateData: { ImageId: 'ami-x' } }, 'InvalidAMIID.Malformed'],
    [
      'LT-5: bad base64',
      { LaunchTemplateData: { UserData: '#!/bin/sh' } },
      'InvalidUserData.Malformed',
      'Invalid BASE64 encoding of user data.',
    ],
    [
      'LT-5: hop limit',
      { LaunchTemplateData: { MetadataOptions: { HttpPutResponseHopLimit: 65 } } },
      'InvalidParameterValue',
    ],
    ['a parameter that is not honoured', { Operator: { Principal: 'x' } }, 'UnsupportedOperation'],
  ];
  for (const [name, input, code, message] of refusals) {
    it(`refuses ${name}`, async () => {
      await refused(create(input), code, message);
    });
  }

  it('LT-10: a name is used once', async () => {
    const { LaunchTemplateName } = await create();
    await refused(
      create({ LaunchTemplateName }),
      'InvalidLaunchTemplateName.AlreadyExistsException',
      'Launch template name already in use.',
    );
  });

  it('LT-5: an unknown instance type is stored with a warning, unknown keys and snapshots without', async () => {
    const answer = await test.call<{ Warning?: { Errors: { Code: string }[] } }>(build, 'CreateLaunchTemplate', {
      LaunchTemplateName: fresh(),
      LaunchTemplateData: {
        InstanceType: 'x9.huge',
        BlockDeviceMappings: [{ DeviceName: 'a', Ebs: { KmsKeyId: 'alias/nowhere', SnapshotId: 'snap-0' } }],
      },
    });
    assert.deepEqual(
      answer.Warning?.Errors.map(({ Code }) => Code),
      ['InvalidInstanceType'],
    );
  });

  it('LT-12: a replay gives the same template until anything happens to it', async () => {
    const input = { LaunchTemplateName: fresh(), ClientToken: 'once' };
    const first = await create(input);
    assert.equal((await create(input)).LaunchTemplateId, first.LaunchTemplateId);
    const used = 'Client token already used before.';
    await refused(create({ ...input, VersionDescription: 'x' }), 'IdempotentParameterMismatch', used);
    await addVersion(first.LaunchTemplateId, DATA);
    await refused(create(input), 'IdempotentParameterMismatch', used);
    await test.call(build, 'DeleteLaunchTemplate', { LaunchTemplateId: first.LaunchTemplateId });
    await refused(create(input), 'IdempotentParameterMismatch', used);
  });

  it('LT-13: a dry run looks at authorization only', async () => {
    await refused(create({ LaunchTemplateData: {}, DryRun: true }), 'DryRunOperation');
  });

  it('a user without rights is denied with the template’s ARN', async () => {
    const nobody = await test.userOf(test.build, 'nobody', [
      { Effect: 'Allow', Action: 'ec2:Describe*', Resource: '*' },
    ]);
    await refused(
      test.call(nobody, 'CreateLaunchTemplate', { LaunchTemplateName: fresh(), LaunchTemplateData: DATA }),
      'UnauthorizedOperation',
      /launch-template\/\* because no identity-based policy allows/,
    );
  });
});

describe('versions', () => {
  it('LT-3: over a source version, only the top level merges', async () => {
    const { LaunchTemplateId } = await create({
      LaunchTemplateData: {
        ...DATA,
        MetadataOptions: { HttpTokens: 'required', HttpPutResponseHopLimit: 2 },
        BlockDeviceMappings: [{ DeviceName: 'a', Ebs: { Encrypted: true, KmsKeyId: 'alias/a' } }],
      },
    });
    const second = await addVersion(
      LaunchTemplateId,
      {
        MetadataOptions: { HttpPutResponseHopLimit: 1 },
        BlockDeviceMappings: [{ DeviceName: 'b', Ebs: { VolumeSize: 1 } }],
      },
      { SourceVersion: '1' },
    );
    assert.deepEqual(second.LaunchTemplateData, {
      ...DATA,
      MetadataOptions: { HttpPutResponseHopLimit: 1 },
      BlockDeviceMappings: [{ DeviceName: 'b', Ebs: { VolumeSize: 1 } }],
    });
    const third = await addVersion(LaunchTemplateId, { KeyName: 'k' });
    assert.deepEqual(third.LaunchTemplateData, { KeyName: 'k' });
    const fourth = await addVersion(LaunchTemplateId, {}, { SourceVersion: '$Latest' });
    assert.deepEqual(fourth.LaunchTemplateData, { KeyName: 'k' });
  });

  it('LT-6, LT-7, LT-8: selectors, the default, and numbers that are never given twice', async () => {
    const { LaunchTemplateId, LaunchTemplateName } = await create();
    await addVersion(LaunchTemplateId, { KeyName: '2' });
    await addVersion(LaunchTemplateId, { KeyName: '3' });
    const resolve = async (Version?: string) =>
      (await resolveLaunchTemplate(test.launchTemplates, build, { LaunchTemplateName, Version })).versionNumber;
    assert.deepEqual(
      [await resolve(), await resolve('$Default'), await resolve('$Latest'), await resolve('2')],
      [1, 1, 3, 2],
    );

    await test.call(build, 'ModifyLaunchTemplate', { LaunchTemplateId, DefaultVersion: '$Latest' });
    assert.equal(await resolve(), 3);
    await refused(
      test.call(build, 'DeleteLaunchTemplateVersions', { LaunchTemplateId, Versions: ['1', '3'] }),
      'InvalidParameterValue',
      'The default version cannot be deleted. Either specify another version as default or delete the launch template.',
    );
    assert.equal((await versions({ LaunchTemplateId })).length, 3, 'nothing was deleted');
    for (const version of ['0', '-1', 'x']) {
      await refused(
        test.call(build, 'DeleteLaunchTemplateVersions', { LaunchTemplateId, Versions: ['1', version] }),
        'InvalidParameterValue',
        `Invalid value for version: ${version}`,
      );
    }
    await test.call(build, 'ModifyLaunchTemplate', { LaunchTemplateId, DefaultVersion: '1' });
    const deleted = await test.call(build, 'DeleteLaunchTemplateVersions', { LaunchTemplateId, Versions: ['3', '9'] });
    assert.deepEqual(deleted, {
      SuccessfullyDeletedLaunchTemplateVersions: [{ LaunchTemplateId, LaunchTemplateName, VersionNumber: 3 }],
      UnsuccessfullyDeletedLaunchTemplateVersions: [
        {
          LaunchTemplateId,
          LaunchTemplateName,
          VersionNumber: 9,
          ResponseError: {
            Code: 'launchTemplateVersionDoesNotExist',
            Message: 'The specified launch template version does not exist.',
          },
        },
      ],
    });
    assert.equal(await resolve('$Latest'), 2);
    assert.equal((await addVersion(LaunchTemplateId, { KeyName: '4' })).VersionNumber, 4);
  });

  it('LT-9: what is not found', async () => {
    const { LaunchTemplateId } = await create();
    const nowhere = 'lt-0123456789abcdef0';
    await refused(
      test.call(build, 'ModifyLaunchTemplate', { LaunchTemplateId: nowhere, DefaultVersion: '1' }),
      'InvalidLaunchTemplateId.NotFound',
      `The specified launch template, with template ID ${nowhere}, does not exist.`,
    );
    await refused(
      test.call(build, 'DescribeLaunchTemplates', { LaunchTemplateIds: [nowhere] }),
      'InvalidLaunchTemplateId.NotFound',
      'At least one of the launch templates specified in the request does not exist.',
    );
    await refused(
      test.call(build, 'ModifyLaunchTemplate', { LaunchTemplateName: 'nowhere', DefaultVersion: '1' }),
      'InvalidLaunchTemplateName.NotFoundException',
    );
    await refused(
      test.call(build, 'DescribeLaunchTemplateVersions', { LaunchTemplateId, Versions: ['999'] }),
      'InvalidLaunchTemplateId.VersionNotFound',
      `Could not find the specified version 999 for the launch template with ID ${LaunchTemplateId}.`,
    );
    await refused(
      test.call(build, 'ModifyLaunchTemplate', { LaunchTemplateId, LaunchTemplateName: 'x', DefaultVersion: '1' }),
      'InvalidParameterCombination',
      'Either provide launch template ID or launch template name to modify the template.',
    );
    const prod = test.as(test.prod);
    await refused(test.call(prod, 'DeleteLaunchTemplate', { LaunchTemplateId }), 'InvalidLaunchTemplateId.NotFound');
  });

  it('pages are of the size asked for, newest first, and hold every version once', async () => {
    const { LaunchTemplateId } = await create();
    for (let number = 2; number <= 7; number++) await addVersion(LaunchTemplateId, { KeyName: `${number}` });
    const seen: (number | undefined)[] = [];
    let NextToken: string | undefined;
    do {
      const answer = await test.call<{ LaunchTemplateVersions: LaunchTemplateVersion[]; NextToken?: string }>(
        build,
        'DescribeLaunchTemplateVersions',
        { LaunchTemplateId, MaxResults: 3, ...(NextToken ? { NextToken } : {}) },
      );
      assert.ok(answer.LaunchTemplateVersions.length <= 3);
      seen.push(...answer.LaunchTemplateVersions.map(({ VersionNumber }) => VersionNumber));
      ({ NextToken } = answer);
    } while (NextToken);
    assert.deepEqual(seen, [7, 6, 5, 4, 3, 2, 1]);
  });

  it('latest and default of every template, without naming one', async () => {
    const { LaunchTemplateId } = await create();
    await addVersion(LaunchTemplateId, { KeyName: '2' });
    const found = (await versions({ Versions: ['$Latest', '$Default'] })).filter(
      (version) => version.LaunchTemplateId === LaunchTemplateId,
    );
    assert.deepEqual(
      found.map(({ VersionNumber }) => VersionNumber),
      [2, 1],
    );
  });
});
