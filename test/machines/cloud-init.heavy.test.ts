/**
 * Debian's cloud-init, unmodified, as a client of the metadata service: its EC2 data source takes the machine for EC2 and
 * finds the instance, user data, key and network. Only the address it asks is another: this host's.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import { machineUuid } from '../../src/instances/qemu/arguments.ts';
import { openMetadata, PUBLIC_KEY, USER_DATA } from './metadata-rig.ts';

const run = promisify(execFile);
const PACKAGES = ['cloud-init', 'python3-configobj', 'python3-jsonpatch', 'python3-json-pointer', 'python3-six'];

/** Prints as JSON what the data source finds; arguments: URL, folder, the machine's UUID, MAC address. */
const CLIENT = `
import json, sys
from cloudinit import helpers, settings
from cloudinit.sources import DataSourceEc2 as ec2

url, folder, uuid, mac = sys.argv[1:]
source = ec2.DataSourceEc2(settings.CFG_BUILTIN, None, helpers.Paths({"run_dir": folder, "cloud_dir": folder}))
source.ds_cfg["metadata_urls"] = [url]
platform = {"uuid": uuid, "serial": uuid, "asset_tag": "", "vendor": "ingot", "uuid_source": "dmi"}
source._cloud_name = ec2.identify_aws(platform)
found = source.crawl_metadata()
source.metadata, source.userdata_raw = found["meta-data"], found["user-data"]
network = ec2.convert_ec2_metadata_network_config(found["meta-data"]["network"], {mac: "eth0"})
print(json.dumps({
    "cloud": source._cloud_name,
    "instance": source.get_instance_id(),
    "zone": source.availability_zone,
    "region": source.region,
    "host": source.metadata["local-hostname"],
    "keys": source.get_public_ssh_keys(),
    "data": found["user-data"].decode(),
    "document": found["dynamic"]["instance-identity"]["document"]["instanceId"],
    "network": network,
}))
`;

const folder = await mkdtemp(join(tmpdir(), 'ingot-cloud-init-'));
after(() => rm(folder, { recursive: true, force: true }));

/** Fetches cloud-init; a reason to skip where that cannot be done. */
async function fetchCloudInit(): Promise<string | false> {
  try {
    await run('python3', ['-c', 'import requests, yaml, jinja2, jsonschema']);
  } catch {
    return 'python3 with requests, yaml, jinja2 and jsonschema is not here';
  }
  try {
    await run('apt-get', ['-q', '-o', 'APT::Sandbox::User=root', 'download', ...PACKAGES], { cwd: folder });
    for (const name of await readdir(folder)) {
      if (name.endsWith('.deb')) await run('dpkg-deb', ['-x', join(folder, name), join(folder, 'root')]);
    }
    await writeFile(join(folder, 'client.py'), CLIENT);
    return false;
  } catch {
    return 'cloud-init could not be fetched by apt-get';
  }
}

test("cloud-init's EC2 data source finds everything it looks for", { skip: await fetchCloudInit() }, async () => {
  await using rig = await openMetadata();
  const { record, link, subnet } = rig;
  const args = [join(folder, 'client.py'), rig.url, folder, machineUuid(record.id), link.mac];
  const PYTHONPATH = join(folder, 'root/usr/lib/python3/dist-packages');
  const { stdout } = await run('python3', args, { env: { ...process.env, PYTHONPATH } });
  const { network, ...found } = JSON.parse(stdout.trim().split('\n').at(-1)!);
  assert.deepEqual(found, {
    cloud: 'aws',
    instance: record.id,
    zone: subnet.zone,
    region: 'eu-central-1',
    host: `ip-${record.privateIp.replaceAll('.', '-')}.eu-central-1.compute.internal`,
    keys: [PUBLIC_KEY],
    data: USER_DATA,
    document: record.id,
  });
  // What else stands beside it differs between the versions of cloud-init.
  assert.equal(network.ethernets.eth0.dhcp4, true);
  assert.equal(network.ethernets.eth0.match.macaddress, link.mac);
});
