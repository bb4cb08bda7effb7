/** A denial of EC2 tells its reasons only to those who may decode them (authorization-and-wire 8.6, 8.7). */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CreateVolumeCommand, EC2Client, EC2ServiceException } from '@aws-sdk/client-ec2';
import { CreateAccessKeyCommand, CreateUserCommand, IAMClient, PutUserPolicyCommand } from '@aws-sdk/client-iam';
import { DecodeAuthorizationMessageCommand, STSClient } from '@aws-sdk/client-sts';
import { startIngot } from './ingot.ts';

describe('the encoded message of a denial', () => {
  it('decodes to the decision for those who may, and is refused when it was changed', async () => {
    await using ingot = await startIngot();
    const iam = new IAMClient(await ingot.client());
    await iam.send(new CreateUserCommand({ UserName: 'ann' }));
    const PolicyDocument = JSON.stringify({
      Version: '2012-10-17',
      Statement: [{ Sid: 'NoVolumes', Effect: 'Deny', Action: 'ec2:CreateVolume', Resource: '*' }],
    });
    await iam.send(new PutUserPolicyCommand({ UserName: 'ann', PolicyName: 'no', PolicyDocument }));
    const { AccessKey } = await iam.send(new CreateAccessKeyCommand({ UserName: 'ann' }));
    const ann = { accessKeyId: AccessKey?.AccessKeyId ?? '', secretAccessKey: AccessKey?.SecretAccessKey ?? '' };

    const ec2 = new EC2Client(await ingot.client('eu-central-1', ann));
    const denial: unknown = await ec2
      .send(new CreateVolumeCommand({ AvailabilityZone: 'eu-central-1a', Size: 1 }))
      .catch((error: unknown) => error);
    assert.ok(denial instanceof EC2ServiceException);
    const encoded = /Encoded authorization failure message: (\S+)/.exec(denial.message)?.[1] ?? '';
    assert.ok(!Buffer.from(encoded, 'base64url').toString('latin1').includes('CreateVolume'));

    const sts = new STSClient(await ingot.client());
    const { DecodedMessage } = await sts.send(new DecodeAuthorizationMessageCommand({ EncodedMessage: encoded }));
    const message = JSON.parse(DecodedMessage ?? '');
    assert.deepEqual([message.allowed, message.explicitDeny], [false, true]);
    assert.equal(message.context.action, 'ec2:CreateVolume');
    assert.match(message.context.principal.arn, /:user\/ann$/);
    assert.equal(message.matchedStatements.items[0].statementId, 'NoVolumes');

    const changed = new DecodeAuthorizationMessageCommand({ EncodedMessage: `${encoded.slice(0, -4)}AAAA` });
    await assert.rejects(sts.send(changed), { name: 'InvalidAuthorizationMessageException' });
    const asAnn = new STSClient(await ingot.client('eu-central-1', ann));
    const curious = new DecodeAuthorizationMessageCommand({ EncodedMessage: encoded });
    await assert.rejects(asAnn.send(curious), { name: 'AccessDenied' });
  });
});
