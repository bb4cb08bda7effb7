/** What EC2 and EBS judge, as the tables of the specification have it: resources (7.2), condition keys, words of denials. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import * as ebs from '@aws-sdk/client-ebs';
import * as ec2 from '@aws-sdk/client-ec2';
import {
  AddRoleToInstanceProfileCommand,
  CreateInstanceProfileCommand,
  CreateRoleCommand,
  IAMClient,
} from '@aws-sdk/client-iam';
import {
  type Command,
  fromSnapshot,
  KEYS,
  LAUNCH,
  made,
  one,
  patternOf,
  REGION,
  RESOURCES,
  volume,
  ZONE,
} from './ec2-authorization-tables.ts';
import { type Account, allow, documentOf, refused, type Statement, type User, World } from './world.ts';

const TAGS = [{ Key: 'team', Value: 'images' }];

let world: World;
let account: Account;
let other: Account;
let user: User;
let client: ec2.EC2Client;
before(async () => {
  world = await World.open(REGION);
  account = await world.account();
  other = await world.account();
  user = await world.user(account);
  client = new ec2.EC2Client(user.config);
  made.account = account.id;
  made.other = other.id;
  made.key = await world.key(account);
  const { key } = made;
  const owner = new ec2.EC2Client(account.admin);
  made.snapshot = await world.snapshot(account.admin);
  made.encrypted = await world.snapshot(account.admin, { key });
  made.image = await world.image(account.admin, made.snapshot);
  const { Instances } = await owner.send(
    new ec2.RunInstancesCommand({ ImageId: made.image, InstanceType: 't3.micro', MinCount: 1, MaxCount: 1 }),
  );
  made.instance = Instances![0]!.InstanceId!;
  await world.instance(account.admin, made.instance, 'running');
  const { VolumeId } = await owner.send(
    new ec2.CreateVolumeCommand({ AvailabilityZone: ZONE, Size: 1, Encrypted: true, KmsKeyId: key }),
  );
  made.volume = VolumeId!;
  await world.volumeInTheEnd(account.admin, made.volume);
  await owner.send(new ec2.CreateKeyPairCommand({ KeyName: 'pair' }));
  await owner.send(
    new ec2.CreateLaunchTemplateCommand({
      LaunchTemplateName: 'golden',
      LaunchTemplateData: { ImageId: made.image, InstanceType: 't3.micro' },
    }),
  );
  const iam = new IAMClient(account.admin);
  const trust = documentOf({ Effect: 'Allow', Principal: { Service: 'ec2.amazonaws.com' }, Action: 'sts:AssumeRole' });
  await iam.send(new CreateRoleCommand({ RoleName: 'server', AssumeRolePolicyDocument: trust }));
  const { InstanceProfile } = await iam.send(new CreateInstanceProfileCommand({ InstanceProfileName: 'server' }));
  await iam.send(new AddRoleToInstanceProfileCommand({ InstanceProfileName: 'server', RoleName: 'server' }));
  made.profile = InstanceProfile!.Arn!;
});
after(() => world[Symbol.asyncDispose]());

const actionOf = (command: object) => `ec2:${command.constructor.name.replace(/Command$/, '')}`;
/** `DryRunOperation` where policies allow, else the denial (8.8). */
async function judged(command: Command): Promise<Error> {
  const dry = { ...command, input: { ...command.input, DryRun: true } };
  Object.setPrototypeOf(dry, Object.getPrototypeOf(command) as object);
  return client.send(dry as never).then(
    () => assert.fail(`${actionOf(command)} was done`),
    (error: Error) => error,
  );
}

const tagged = (type: ec2.ResourceType) => ({ TagSpecifications: [{ ResourceType: type, Tags: TAGS }] });

describe('authz 7.2: resources of an EC2 action', () => {
  for (const [name, make, types] of RESOURCES) {
    it(`${name}: each of ${types.join(', ')} must be allowed, and nothing else (authz 3.5, 7.1)`, async () => {
      const command = make();
      const action = actionOf(command);
      await user.may(allow(action, { Resource: types.map(patternOf) }));
      assert.equal((await judged(command)).name, 'DryRunOperation');
      for (const missing of types) {
        // Something must be allowed on something: a policy without statements is none.
        const rest = ['none', ...types].filter((type) => type !== missing);
        await user.may(allow(action, { Resource: rest.map(patternOf) }));
        const { name: code, message } = await judged(command);
        assert.equal(code, 'UnauthorizedOperation', missing);
        assert.match(
          message,
          new RegExp(`on resource: ${patternOf(missing).replaceAll('*', '[^ ]+')} because no identity`),
        );
      }
    });
  }

  const WITHOUT: readonly (() => Command)[] = [
    () => new ec2.DescribeImagesCommand({}),
    () => new ec2.DescribeSnapshotsCommand({}),
    () => new ec2.DescribeVolumesCommand({}),
    () => new ec2.DescribeInstancesCommand({}),
    () => new ec2.GetEbsDefaultKmsKeyIdCommand({}),
    () => new ec2.EnableEbsEncryptionByDefaultCommand({}),
    () => new ec2.DisableEbsEncryptionByDefaultCommand({}),
    () => new ec2.EnableImageBlockPublicAccessCommand({ ImageBlockPublicAccessState: 'block-new-sharing' }),
    () => new ec2.EnableSnapshotBlockPublicAccessCommand({ State: 'block-all-sharing' }),
    () => new ec2.DisableSnapshotBlockPublicAccessCommand({}),
  ];
  it('actions without resources need * and no ARN reaches them; their denial names none (authz 3.4, 8.1, 8.6)', async () => {
    for (const make of WITHOUT) {
      const command = make();
      const action = actionOf(command);
      await user.may(allow(action, { Resource: ['arn:aws:ec2:*:*:*', 'arn:aws:ec2:*::*'] }));
      const denial = await judged(command);
      assert.equal(
        denial.message,
        `You are not authorized to perform this operation. User: ${user.arn} is not authorized to perform: ${action} because no identity-based policy allows the ${action} action`,
      );
      await user.may(allow(action));
      assert.equal((await judged(command)).name, 'DryRunOperation', action);
    }
  });

  it('tags at creation need ec2:CreateTags on what is new, with the creating action (authz 7.2)', async () => {
    const rows = [
      [new ec2.CreateVolumeCommand({ ...volume, ...tagged('volume') }), 'volume'],
      [new ec2.CreateSnapshotCommand({ VolumeId: made.volume, ...tagged('snapshot') }), 'snapshot'],
      [
        new ec2.CopyImageCommand({
          Name: 'tagged',
          SourceRegion: REGION,
          SourceImageId: made.image,
          ...tagged('image'),
        }),
        'image',
      ],
      [new ec2.RunInstancesCommand({ ...one, ImageId: made.image, ...tagged('instance') }), 'instance'],
    ] as const;
    for (const [command, type] of rows) {
      const action = actionOf(command);
      const creating = (by: string): Statement =>
        allow('ec2:CreateTags', {
          Resource: patternOf(type),
          Condition: { StringEquals: { 'ec2:CreateAction': by, 'aws:RequestTag/team': 'images' } },
        });
      await user.may(allow(action));
      assert.match((await judged(command)).message, /not authorized to perform: ec2:CreateTags/);
      await user.may(allow(action), creating('SomethingElse'));
      assert.equal((await judged(command)).name, 'UnauthorizedOperation');
      await user.may(allow(action), creating(action.slice('ec2:'.length)));
      assert.equal((await judged(command)).name, 'DryRunOperation');
    }
  });
});

describe('condition keys of EC2 (authz 7.2 to 7.8)', () => {
  const statements = new Map(Object.entries(Object.groupBy(KEYS, ([statement]) => statement)));
  for (const [statement, rows = []] of statements) {
    it(`authz ${statement}: ${[...new Set(rows.map(([, , , name]) => name))].join(', ')}`, async () => {
      for (const [, make, type, name, operator, value, another] of rows) {
        const command = make();
        const action = actionOf(command);
        const everyType = [...LAUNCH, 'key-pair', 'launch-template'].filter((each) => each !== type).map(patternOf);
        const onlyIf = async (wanted: string) => {
          await user.may(
            allow(action, { Resource: everyType }),
            allow(action, { Resource: patternOf(type), Condition: { [operator]: { [name]: wanted } } }),
            allow('iam:PassRole'),
          );
          return (await judged(command)).name;
        };
        const seen = [await onlyIf(value()), await onlyIf(another)];
        assert.deepEqual(seen, ['DryRunOperation', 'UnauthorizedOperation'], `${name} on ${type} of ${action}`);
      }
    });
  }
});

describe('the EBS direct APIs (authz 7.10)', () => {
  const snapshotArn = (id: string) => `arn:aws:ec2:${REGION}::snapshot/${id}`;

  it('authz 7.10: every action is judged on the snapshot’s ARN; the denial has Message and Reason (authz 8.10)', async () => {
    const direct = new ebs.EBSClient(user.config);
    const { Blocks } = await new ebs.EBSClient(account.admin).send(
      new ebs.ListSnapshotBlocksCommand({ SnapshotId: made.snapshot }),
    );
    const { BlockToken } = Blocks![0]!;
    const commands = [
      new ebs.ListSnapshotBlocksCommand({ SnapshotId: made.snapshot }),
      new ebs.GetSnapshotBlockCommand({ SnapshotId: made.snapshot, BlockIndex: 0, BlockToken }),
      new ebs.ListChangedBlocksCommand({ FirstSnapshotId: made.snapshot, SecondSnapshotId: made.snapshot }),
      new ebs.CompleteSnapshotCommand({ SnapshotId: made.snapshot, ChangedBlocksCount: 0 }),
    ] as const;
    for (const command of commands) {
      const action = `ebs:${command.constructor.name.replace(/Command$/, '')}`;
      const ask = () =>
        direct.send(command as ebs.ListSnapshotBlocksCommand).then(
          () => undefined,
          (error: Error & { Reason?: string; $metadata: { httpStatusCode?: number } }) => error,
        );
      await user.may(allow(action, { Resource: snapshotArn('snap-00000000000000000') }));
      const denial = await ask();
      assert.deepEqual(
        [denial?.name, denial?.$metadata.httpStatusCode, denial?.Reason],
        ['AccessDeniedException', 403, 'UNAUTHORIZED_ACCOUNT'],
        `${action}: ${denial?.message}`,
      );
      assert.equal(
        denial?.message,
        `User: ${user.arn} is not authorized to perform: ${action} on resource: ${snapshotArn(made.snapshot)} because no identity-based policy allows the ${action} action`,
      );
      await user.may(allow(action, { Resource: snapshotArn(made.snapshot) }));
      assert.notEqual((await ask())?.name, 'AccessDeniedException', action);
    }
  });

  it('authz 7.10: StartSnapshot has its description, parent, size and tags as condition keys', async () => {
    const direct = new ebs.EBSClient(user.config);
    const rows: readonly (readonly [input: object, operator: string, key: string, value: string])[] = [
      [{ Description: 'd' }, 'StringEquals', 'ebs:Description', 'd'],
      [{}, 'NumericEquals', 'ebs:VolumeSize', '1'],
      [{ ParentSnapshotId: made.snapshot }, 'ArnEquals', 'ebs:ParentSnapshot', snapshotArn(made.snapshot)],
      [{ Tags: TAGS }, 'StringEquals', 'aws:RequestTag/team', 'images'],
      [{ Tags: TAGS }, 'ForAllValues:StringEquals', 'aws:TagKeys', 'team'],
    ];
    for (const [input, operator, name, value] of rows) {
      const start = () => direct.send(new ebs.StartSnapshotCommand({ VolumeSize: 1, ...input }));
      const onlyIf = (wanted: string) =>
        user.may(
          allow('ebs:StartSnapshot', { Condition: { [operator]: { [name]: wanted } } }),
          allow(['ec2:CreateTags', 'ebs:ListSnapshotBlocks', 'ebs:GetSnapshotBlock']),
        );
      await onlyIf(value);
      assert.ok((await start()).SnapshotId);
      await onlyIf('7');
      await refused(start(), 'AccessDeniedException');
    }
  });
});

describe('words of EC2’s denials', () => {
  it('authz 8.1, 8.6: on a resource, with the encoded message; status 403', async () => {
    await user.may(allow('ec2:DescribeImages'));
    const denial = (await judged(new ec2.CreateVolumeCommand(volume))) as ec2.EC2ServiceException;
    assert.equal(denial.$metadata.httpStatusCode, 403);
    const said = `You are not authorized to perform this operation. User: ${user.arn} is not authorized to perform: ec2:CreateVolume on resource: arn:aws:ec2:${REGION}:${account.id}:volume/* because no identity-based policy allows the ec2:CreateVolume action. Encoded authorization failure message: `;
    assert.equal(denial.message.slice(0, said.length), said);
  });

  it('authz 8.8: a dry run is answered by 412 where the call is permitted, and by the denial where it is not', async () => {
    await user.may(allow('ec2:CreateVolume'));
    const permitted = (await judged(new ec2.CreateVolumeCommand(volume))) as ec2.EC2ServiceException;
    assert.deepEqual(
      [permitted.name, permitted.$metadata.httpStatusCode, permitted.message],
      ['DryRunOperation', 412, 'Request would have succeeded, but DryRun flag is set.'],
    );
    await user.may(allow('ec2:DescribeImages'));
    assert.equal((await judged(new ec2.CreateVolumeCommand(volume))).name, 'UnauthorizedOperation');
  });

  it('authz 7.9, 8.11: what is not shared is not visible, which is no matter of policies', async () => {
    const stranger = new ec2.EC2Client(other.admin);
    const input = { ...one, ImageId: made.image };
    const denial = await refused(stranger.send(new ec2.RunInstancesCommand(input)), 'AuthFailure');
    assert.equal(denial.message, `Not authorized for images: [${made.image}]`);
    assert.equal((denial as ec2.EC2ServiceException).$metadata.httpStatusCode, 400);
    const { Images } = await stranger.send(
      new ec2.DescribeImagesCommand({ Filters: [{ Name: 'image-id', Values: [made.image] }] }),
    );
    assert.deepEqual(Images, []);
    const never = { ...one, ImageId: 'ami-00000000000000000' };
    await refused(stranger.send(new ec2.RunInstancesCommand(never)), 'InvalidAMIID.NotFound');
    await refused(stranger.send(fromSnapshot()), 'InvalidSnapshot.NotFound');

    // Shared, the receiver still needs its own policy (7.9).
    const owner = new ec2.EC2Client(account.admin);
    const permission = { Add: [{ UserId: other.id }] };
    await owner.send(new ec2.ModifyImageAttributeCommand({ ImageId: made.image, LaunchPermission: permission }));
    const receiver = await world.user(other, allow('ec2:DescribeImages'));
    const theirs = new ec2.EC2Client(receiver.config);
    await refused(theirs.send(new ec2.RunInstancesCommand(input)), 'UnauthorizedOperation', /no identity-based policy/);
    await receiver.may(allow('ec2:*'));
    const dry = theirs.send(new ec2.RunInstancesCommand({ ...input, DryRun: true }));
    await refused(dry, 'DryRunOperation');
    await owner.send(new ec2.ResetImageAttributeCommand({ ImageId: made.image, Attribute: 'launchPermission' }));
  });
});
