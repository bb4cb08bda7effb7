/** Rights that look complete and are not (row 20). */
import type { Fault } from './fault.ts';
import { by, launcher } from './launches.ts';
import {
  allow,
  CREATE_GRANT,
  diesOfItsKey,
  isRefused,
  newImage,
  newKey,
  newSnapshot,
  REGION,
  registerImage,
  run,
  runs,
  type Statement,
  setKeyPolicy,
  USE_KEY,
} from './world.ts';

const ALL = [...USE_KEY, ...CREATE_GRANT];

/** A launcher whom only the key policy lets use the key, on a condition that calls by EC2 do not meet. */
function unmetCondition(name: string, key: string, condition: NonNullable<Statement['Condition']>): Fault {
  return {
    id: 20,
    name,
    async build(world) {
      const admin = await world.account();
      const builder = await world.role(admin, 'builder', ...launcher());
      const statement: Statement = { Effect: 'Allow', Principal: { AWS: builder.arn }, Action: ALL };
      const keyArn = await newKey(admin, { ...statement, Condition: condition });
      const image = await newImage(admin, { KmsKeyArn: keyArn });
      const instanceId = await diesOfItsKey(builder, { ImageId: image });
      return {
        ...by(builder, admin),
        subject: image,
        operation: 'RunInstances',
        instanceId,
        cause: { actions: ['kms:ReEncryptFrom', 'kms:ReEncryptTo', 'kms:CreateGrant'], key: keyArn, condition: key },
        async mend() {
          const Condition = { StringEquals: { 'kms:ViaService': `ec2.${REGION}.amazonaws.com` } };
          await setKeyPolicy(admin, keyArn, { ...statement, Condition });
          return undefined;
        },
        retry: () => runs(builder, { ImageId: image }),
      };
    },
  };
}

/** K-12: the calls come from EC2, which has no address of the caller's. */
const sourceIp = unmetCondition('20-key-policy-asks-for-an-address', 'aws:SourceIp', {
  IpAddress: { 'aws:SourceIp': '127.0.0.0/8' },
});

/** K-11: nothing reaches KMS by EBS under its own name. */
const viaService = unmetCondition('20-key-policy-asks-for-the-wrong-service', 'kms:ViaService', {
  StringEquals: { 'kms:ViaService': `ebs.${REGION}.amazonaws.com` },
});

/** P-8: ARNs of snapshots have no account. */
const accountInArn: Fault = {
  id: 20,
  name: '20-policy-has-an-account-in-the-arn-of-snapshots',
  async build(world) {
    const admin = await world.account();
    const snapshot = await newSnapshot(admin);
    const image = await registerImage(admin, snapshot);
    const rights = (account: string) => [
      allow('ec2:Describe*'),
      allow('ec2:RunInstances', [
        `arn:aws:ec2:*:${admin.account}:*`,
        'arn:aws:ec2:*::image/*',
        `arn:aws:ec2:*:${account}:snapshot/*`,
      ]),
    ];
    const builder = await world.role(admin, 'builder', ...rights(admin.account));
    await isRefused(
      run(builder, { ImageId: image }),
      'UnauthorizedOperation',
      new RegExp(`ec2:RunInstances on resource: arn:aws:ec2:${REGION}::snapshot/${snapshot} `),
    );
    return {
      ...by(builder, admin),
      subject: image,
      operation: 'RunInstances',
      cause: { actions: ['ec2:RunInstances'] },
      async mend() {
        await world.permit(admin, 'builder', ...rights(''));
        return undefined;
      },
      retry: () => runs(builder, { ImageId: image }),
    };
  },
};

/** P-7. */
const deniedByScp: Fault = {
  id: 20,
  name: '20-service-control-policy-denies',
  async build(world) {
    const admin = await world.account();
    const key = await newKey(admin);
    const image = await newImage(admin, { KmsKeyArn: key });
    const builder = await world.role(admin, 'builder', ...launcher(ALL));
    const { id: controlPolicy, undo } = await world.denyInAccount(admin, 'kms:CreateGrant');
    const instanceId = await diesOfItsKey(builder, { ImageId: image });
    return {
      ...by(builder, admin, world.management),
      subject: image,
      operation: 'RunInstances',
      instanceId,
      cause: { actions: CREATE_GRANT, key, controlPolicy },
      async mend() {
        await undo();
        return undefined;
      },
      retry: () => runs(builder, { ImageId: image }),
    };
  },
};

/** P-14: the policy goes on naming the role that is gone, by its unique id. */
const stalePrincipal: Fault = {
  id: 20,
  name: '20-role-was-made-anew',
  async build(world) {
    const admin = await world.account();
    const before = await world.role(admin, 'builder', ...launcher());
    const statement: Statement = { Effect: 'Allow', Principal: { AWS: before.arn }, Action: ALL };
    const key = await newKey(admin, statement);
    const image = await newImage(admin, { KmsKeyArn: key });
    await runs(before, { ImageId: image });
    await world.removeRole(admin, 'builder');
    const builder = await world.role(admin, 'builder', ...launcher());
    const instanceId = await diesOfItsKey(builder, { ImageId: image });
    return {
      ...by(builder, admin),
      subject: image,
      operation: 'RunInstances',
      instanceId,
      cause: { actions: ['kms:ReEncryptFrom', 'kms:ReEncryptTo', 'kms:CreateGrant'], key },
      async mend() {
        await setKeyPolicy(admin, key, statement);
        return undefined;
      },
      retry: () => runs(builder, { ImageId: image }),
    };
  },
};

export const CONDITION_FAULTS: readonly Fault[] = [sourceIp, viaService, accountInArn, deniedByScp, stalePrincipal];
