/** Table 1.1 for the devices of RunInstances, and what launches have of their own (1.3). */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { EC2Client, RunInstancesCommand, type RunInstancesCommandInput } from '@aws-sdk/client-ec2';
import { DisableKeyCommand, KMSClient } from '@aws-sdk/client-kms';
import { LaunchTable } from './launch-table.ts';
import { allow, deny, ROOT_DEVICE, type User } from './world.ts';

let table: LaunchTable;
before(async () => {
  table = await LaunchTable.open();
});
after(() => table[Symbol.asyncDispose]());

const nothing = (wrong: string[]) => assert.equal(wrong.length, 0, `\n  ${wrong.join('\n  ')}\n`);

describe('table 1.1 for RunInstances, by the key that really wraps the data key', () => {
  for (const on of [false, true]) {
    it(`RI-1, RI-3, G-1, SH-14, BI-11, D-4: thirty combinations, encryption by default ${on ? 'on' : 'off'}`, async () => {
      await table.encryptByDefault(on);
      nothing(await table.differences(on, (row) => table.launch(table.inputOf(row))));
      await table.encryptByDefault(false);
    });
  }
});

describe('launches', () => {
  const base = () => ({
    ImageId: table.images['own-encrypted'],
    InstanceType: 't3.micro' as const,
    MinCount: 1,
    MaxCount: 1,
  });

  /** An administrator but for these actions. */
  const limited = (actions: string[]): Promise<User> => table.world.user(table.user, allow('*'), deny(actions));
  const REASON = {
    Code: 'Client.InvalidKMSKey.InvalidState',
    Message: 'Client.InvalidKMSKey.InvalidState: The KMS key provided is in an incorrect state',
  };

  it('RI-5, G-10, K-15: KMS is not asked before the answer; what it denies ends the instance', async () => {
    for (const denied of ['kms:CreateGrant', 'kms:ReEncryptFrom']) {
      const { config } = await limited([denied]);
      const client = new EC2Client(config);
      await assert.rejects(client.send(new RunInstancesCommand({ ...base(), DryRun: true })), {
        name: 'DryRunOperation',
      });
      const instance = await table.world.instance(config, await table.launch(base(), client), 'terminated');
      assert.deepEqual(instance.StateReason, REASON, denied);
    }
  });

  it('K-15, G-10: a key that is disabled ends the instance in the same words', async () => {
    const key = await table.world.key(table.user);
    await new KMSClient(table.user.admin).send(new DisableKeyCommand({ KeyId: key }));
    const id = await table.launch({
      ...base(),
      ImageId: table.images['own-plain'],
      BlockDeviceMappings: [{ DeviceName: ROOT_DEVICE, Ebs: { Encrypted: true, KmsKeyId: key } }],
    });
    const instance = await table.world.instance(table.user.admin, id, 'terminated');
    // L-1, K-23: the code is not in AWS's list and yet what AWS says.
    assert.deepEqual([instance.StateReason, instance.StateTransitionReason], [REASON, 'Client.InternalError']);
  });

  it('L-23, L-28: statuses of errors, and references before rights', async () => {
    const nobody = new EC2Client((await limited(['*'])).config);
    const statusOf = (client: EC2Client, input: RunInstancesCommandInput) =>
      client.send(new RunInstancesCommand(input)).then(
        () => assert.fail('launched'),
        (error: { name: string; $metadata: { httpStatusCode: number } }) => [
          error.name,
          error.$metadata.httpStatusCode,
        ],
      );
    assert.deepEqual(await statusOf(nobody, { ...base(), ImageId: 'ami-00000000000000001' }), [
      'InvalidAMIID.NotFound',
      400,
    ]);
    assert.deepEqual(await statusOf(nobody, base()), ['UnauthorizedOperation', 403]);
    assert.deepEqual(await statusOf(table.ec2, { ...base(), DryRun: true }), ['DryRunOperation', 412]);
  });
});
