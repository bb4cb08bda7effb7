/** The commands as a user types them. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import { REPOSITORY, runIngot, startIngot } from '../house/ingot.ts';

const exportsOf = (text: string) =>
  Object.fromEntries([...text.matchAll(/^export (\w+)='?([^'\n]*)'?$/gm)].map(([, name, value]) => [name, value]));

function awsCli(args: string[], environment: Record<string, string>) {
  return spawnSync('aws', args, {
    encoding: 'utf8',
    env: { PATH: process.env.PATH, HOME: '/nonexistent', ...environment },
  });
}
const noAwsCli = spawnSync('aws', ['--version']).error ? 'the AWS CLI is not installed' : false;

describe('ingot env', () => {
  it('prints exports with which a client is the root user', async () => {
    await using ingot = await startIngot();
    const { stdout, code } = await runIngot(['env', '--data', ingot.dataDir]);
    assert.equal(code, 0);
    const env = exportsOf(stdout);
    // authz 9.2: every client reads this one.
    assert.equal(env.AWS_ENDPOINT_URL, ingot.endpoint);
    assert.equal(env.AWS_REGION, 'us-east-1');
    const credentials = { accessKeyId: env.AWS_ACCESS_KEY_ID!, secretAccessKey: env.AWS_SECRET_ACCESS_KEY! };
    const sts = new STSClient({ endpoint: env.AWS_ENDPOINT_URL!, region: env.AWS_REGION, credentials });
    assert.match((await sts.send(new GetCallerIdentityCommand({}))).Arn!, /:root$/);
  });

  it('says what to do where there is no server', async () => {
    const { stderr, code } = await runIngot(['env', '--data', '/nonexistent']);
    assert.equal(code, 1);
    assert.match(stderr, /^There is no \/nonexistent\/credentials: start the server with `ingot serve`/);
  });
});

describe('ingot account add', () => {
  it('makes an account and a profile that administers it', async () => {
    await using ingot = await startIngot();
    const added = await runIngot(['account', 'add', 'build', '--data', ingot.dataDir]);
    assert.equal(added.stderr, '');
    const id = /^Account build is (\d{12})\./.exec(added.stdout)?.[1];
    assert.ok(id, added.stdout);
    const text = await readFile(join(ingot.dataDir, 'credentials'), 'utf8');
    assert.match(
      text,
      new RegExp(`\\[build\\]\nendpoint_url = ${ingot.endpoint}\nrole_arn = arn:aws:iam::${id}:role/`),
    );
    assert.equal((await stat(join(ingot.dataDir, 'credentials'))).mode & 0o777, 0o600);

    const { stdout } = await runIngot(['env', '--data', ingot.dataDir, '--account', 'build']);
    const env = exportsOf(stdout);
    const credentials = {
      accessKeyId: env.AWS_ACCESS_KEY_ID!,
      secretAccessKey: env.AWS_SECRET_ACCESS_KEY!,
      sessionToken: env.AWS_SESSION_TOKEN!,
    };
    const sts = new STSClient({ endpoint: ingot.endpoint, region: 'us-east-1', credentials });
    assert.equal((await sts.send(new GetCallerIdentityCommand({}))).Account, id);

    const again = await runIngot(['account', 'add', 'build', '--data', ingot.dataDir]);
    assert.equal(again.code, 1);
    assert.match(again.stderr, /There is a profile build/);
    const second = await runIngot(['account', 'add', 'prod', '--data', ingot.dataDir]);
    assert.equal(second.code, 0, second.stderr);
  });
});

describe('the AWS CLI', { skip: noAwsCli }, () => {
  it('works with the credentials file and the profiles in it', async () => {
    await using ingot = await startIngot();
    await runIngot(['account', 'add', 'build', '--data', ingot.dataDir]);
    const file = { AWS_SHARED_CREDENTIALS_FILE: join(ingot.dataDir, 'credentials') };
    const images = awsCli(['--endpoint-url', ingot.endpoint, 'ec2', 'describe-images', '--owners', 'self'], {
      ...file,
      AWS_PROFILE: 'ingot',
    });
    assert.equal(images.stderr, '');
    assert.deepEqual(JSON.parse(images.stdout).Images, []);
    const identity = awsCli(['sts', 'get-caller-identity'], { ...file, AWS_PROFILE: 'build' });
    assert.equal(identity.stderr, '');
    assert.match(JSON.parse(identity.stdout).Arn, /:assumed-role\/OrganizationAccountAccessRole\//);
  });
});

describe('a Node.js that is too old', () => {
  const old = ['/usr/bin/node', '/usr/local/bin/node'].find((path) => {
    const { stdout } = spawnSync(path, ['--version'], { encoding: 'utf8' });
    return stdout && Number(/^v(\d+)/.exec(stdout)?.[1]) < 24;
  });
  it('gets a sentence', { skip: old ? false : 'no old Node.js is installed' }, () => {
    const result = spawnSync(old!, [join(REPOSITORY, 'bin/ingot.js'), 'serve'], { encoding: 'utf8' });
    assert.match(result.stderr, /^Ingot needs Node\.js 24 or newer and this is v\d+\.\d+\.\d+: .+\n$/);
    assert.equal(result.status, 1);
  });
});
