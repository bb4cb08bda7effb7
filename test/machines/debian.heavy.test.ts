/**
 * A cloud-init image of a real distribution, from its disk to a shell: imported and sealed by `ingot import`, launched with
 * a key pair and user data, entered by `ingot ssh`. Debian's own packages, unmodified, are the client of the metadata
 * service, of the network and of the disk.
 */
import assert from 'node:assert/strict';
import { execFile, spawn, spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import {
  AttachVolumeCommand,
  CreateVolumeCommand,
  DescribeInstanceStatusCommand,
  DescribeVolumesCommand,
  EC2Client,
  ImportKeyPairCommand,
  RunInstancesCommand,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import { CreateKeyCommand, KMSClient } from '@aws-sdk/client-kms';
import { Ingot, REPOSITORY } from '../house/ingot.ts';
import { buildDebianImage, whyNoDebianImage } from './debian-image.ts';
import { killMachinesOf, noQemu, until } from './support.ts';

const run = promisify(execFile);
const noSsh = spawnSync('ssh', ['-V']).error ? 'ssh is not installed' : false;
const skip = noQemu() || noSsh || (await whyNoDebianImage()) || false;
/** Port 22 of a loopback address is for root, and may be taken where this runs. */
const SSH_PORT = '2222';

const USER_DATA = `#cloud-config
write_files:
  - path: /etc/golden
    content: golden by user data
runcmd:
  - [sh, -c, "echo ran > /etc/ran"]
`;

describe('Debian with cloud-init', { skip, concurrency: false }, () => {
  let folder: string;
  let ingot: Ingot;
  let ec2: EC2Client;
  let instanceId: string;

  const environment = () => ({
    PATH: process.env.PATH,
    HOME: folder,
    XDG_STATE_HOME: join(folder, 'state'),
    AWS_SHARED_CREDENTIALS_FILE: join(ingot.dataDir, 'credentials'),
    AWS_PROFILE: 'ingot',
    AWS_REGION: 'eu-central-1',
    AWS_ENDPOINT_URL: ingot.endpoint,
  });
  const tool = async (...args: string[]) => {
    const command = [join(REPOSITORY, 'bin/ingot.js'), ...args];
    return (await run(process.execPath, command, { env: environment(), maxBuffer: 1 << 24 })).stdout;
  };
  const inGuest = (command: string) =>
    tool('ssh', instanceId, '--identity', join(folder, 'key'), '--port', SSH_PORT, '--wait', '600', '--', command);

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ingot-debian-'));
    ingot = await Ingot.start({
      machines: 'qemu',
      arguments: ['--guest-network', 'forward', '--guest-ssh-port', SSH_PORT],
    });
    const config = await ingot.client();
    ec2 = new EC2Client(config);
    const { KeyMetadata: key } = await new KMSClient(config).send(new CreateKeyCommand({}));
    const { imageId } = JSON.parse(
      await tool(
        ...[
          'import',
          await buildDebianImage(),
          '--kms-key',
          key!.Arn!,
          '--name',
          'debian',
          '--volume-size',
          '4',
          '--json',
        ],
      ),
    );
    await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, 'key')]);
    await ec2.send(
      new ImportKeyPairCommand({ KeyName: 'mine', PublicKeyMaterial: await readFile(join(folder, 'key.pub')) }),
    );
    const { Instances } = await ec2.send(
      new RunInstancesCommand({
        ImageId: imageId,
        InstanceType: 't3.small',
        KeyName: 'mine',
        UserData: Buffer.from(USER_DATA).toString('base64'),
        TagSpecifications: [{ ResourceType: 'instance', Tags: [{ Key: 'Name', Value: 'golden-1' }] }],
        MinCount: 1,
        MaxCount: 1,
      }),
    );
    instanceId = Instances![0]!.InstanceId!;
  });
  after(async () => {
    await ec2.send(new TerminateInstancesCommand({ InstanceIds: [instanceId] })).catch(() => {});
    await killMachinesOf(ingot.dataDir);
    await ingot[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  it("lets the key pair's owner in, and did what the user data says", async () => {
    const seen = await inGuest(
      'cloud-init status --wait; cat /etc/golden; echo; cat /etc/ran; id -un; cloud-init query cloud_id',
    );
    assert.deepEqual(seen.trim().split(/\s*\n/), ['status: done', 'golden by user data', 'ran', 'debian', 'aws']);
  });

  it('has its root volume whole: the file system fills the volume that the launch made', async () => {
    const bytes = Number(await inGuest('df --output=size -B1 / | tail -1'));
    assert.ok(bytes > 3.5e9, `${bytes} bytes`);
  });

  it('is named and identified by the metadata service, which asks for a token', async () => {
    const script = `import urllib.request as u
ask = lambda method, path, **headers: u.urlopen(u.Request("http://169.254.169.254/latest/" + path, method=method, headers=headers), timeout=20).read().decode()
token = ask("PUT", "api/token", **{"X-aws-ec2-metadata-token-ttl-seconds": "60"})
print(ask("GET", "meta-data/instance-id", **{"X-aws-ec2-metadata-token": token}))`;
    const seen = await inGuest(`python3 -c '${script}'; cat /sys/class/dmi/id/board_asset_tag; hostname`);
    const [id, , host] = seen.trim().split(/\s*\n/);
    assert.equal(id, instanceId);
    assert.match(host ?? '', /^ip-172-31-/);
  });

  it('sees a data volume that is attached while it runs, and writes to it', async () => {
    const { Placement } = await until('it runs', async () => {
      const { InstanceStatuses } = await ec2.send(new DescribeInstanceStatusCommand({ InstanceIds: [instanceId] }));
      const status = InstanceStatuses?.[0];
      return status?.InstanceState?.Name === 'running' && { Placement: status.AvailabilityZone! };
    });
    const { VolumeId } = await ec2.send(
      new CreateVolumeCommand({ AvailabilityZone: Placement, Size: 1, Encrypted: true }),
    );
    await until('the volume is available', async () => {
      const { Volumes } = await ec2.send(new DescribeVolumesCommand({ VolumeIds: [VolumeId!] }));
      return Volumes![0]!.State === 'available';
    });
    await ec2.send(new AttachVolumeCommand({ VolumeId: VolumeId!, InstanceId: instanceId, Device: '/dev/sdf' }));
    const seen = await inGuest(
      'for i in $(seq 60); do [ -b /dev/vdb ] && break; sleep 1; done; ' +
        'sudo mke2fs -q /dev/vdb && sudo mount /dev/vdb /mnt && echo kept | sudo tee /mnt/file && sudo umount /mnt; ' +
        'cat /sys/block/vdb/serial',
    );
    assert.deepEqual(seen.trim().split('\n'), ['kept', VolumeId!.replace('-', '').slice(0, 20)]);
  });

  it('goes on while the server is started anew, and is reached again', async () => {
    const bootId = await inGuest('cat /proc/sys/kernel/random/boot_id');
    await ingot.restart();
    await until('the guest is reached', async () => {
      const again = await inGuest('cat /proc/sys/kernel/random/boot_id').catch(() => undefined);
      return again === bootId;
    });
  });

  it('shows its console live, through a reboot, by its name', async () => {
    const child = spawn(process.execPath, [join(REPOSITORY, 'bin/ingot.js'), 'console', 'golden-1'], {
      env: environment(),
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let text = '';
    child.stdout.on('data', (chunk) => {
      text += chunk;
    });
    try {
      await until('the boot so far is shown', async () => text.includes('Linux version'));
      const boots = () => text.split('Linux version').length - 1;
      const soFar = boots();
      await inGuest('sudo systemctl reboot').catch(() => {});
      await until('it boots again', async () => boots() > soFar);
    } finally {
      child.kill('SIGINT');
    }
  });
});
