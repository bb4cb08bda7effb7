import assert from 'node:assert/strict';
import { request } from 'node:http';
import { type AddressInfo, connect, createServer } from 'node:net';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { type InstanceId, newEc2Id } from '../../ids.ts';
import { createLog } from '../../log.ts';
import type { MetadataOptions } from '../instances.ts';
import { createMetadataServer } from './server.ts';
import { LABEL, lookUp, type Tree, VERSIONS } from './tree.ts';

const ONE = newEc2Id<InstanceId>('i');
const OTHER = newEc2Id<InstanceId>('i');
const OPEN: MetadataOptions = {
  httpEndpoint: 'enabled',
  httpTokens: 'optional',
  hopLimit: 1,
  instanceTags: 'disabled',
};
const TREE: Tree = {
  'meta-data': {
    'instance-id': ONE,
    iam: undefined,
    network: { interfaces: { macs: { '0e:00:00:00:00:01': { mac: '0e:00:00:00:00:01' } } } },
    'public-keys': { 0: { [LABEL]: 'operator', 'openssh-key': 'ssh-ed25519 AAAA operator' } },
    'security-groups': 'default\nweb',
  },
  'user-data': async () => '\u0000\u00ff binary',
  failing: async () => {
    throw new Error('no database');
  },
};

interface Said {
  readonly status: number;
  readonly body: string;
  readonly headers: NodeJS.Dict<string | string[]>;
}

describe('the metadata service', () => {
  let options = OPEN;
  let now = Date.parse('2026-01-01T00:00:00Z');
  let caller = ONE;
  let port: number;
  const metadata = createMetadataServer({
    view: async (id) => (id === ONE || id === OTHER ? { options, tree: TREE } : undefined),
    clock: () => new Date(now),
    log: createLog('silent'),
  });
  const door = createServer({ allowHalfOpen: true }, (socket) => metadata.accept(caller, socket));

  before(async () => {
    await new Promise<void>((resolve) => door.listen(0, '127.0.0.1', resolve));
    port = (door.address() as AddressInfo).port;
  });
  after(() => door.close());

  function ask(method: string, path: string, headers: Record<string, string> = {}): Promise<Said> {
    return new Promise((resolve, reject) => {
      const asked = request({ host: '127.0.0.1', port, method, path, headers }, (response) => {
        let body = '';
        response.setEncoding('latin1');
        response.on('data', (text: string) => {
          body += text;
        });
        response.once('end', () => resolve({ status: response.statusCode!, body, headers: response.headers }));
      });
      asked.once('error', reject);
      asked.end();
    });
  }
  const TTL = 'X-aws-ec2-metadata-token-ttl-seconds';
  const token = async (seconds = '60') => (await ask('PUT', '/latest/api/token', { [TTL]: seconds })).body;
  const withToken = (text: string) => ({ 'X-aws-ec2-metadata-token': text });

  const PATHS: readonly [path: string, status: number, body?: string | RegExp][] = [
    ['/', 200, VERSIONS.join('\n')],
    ['/latest', 200, 'meta-data/\nuser-data\nfailing'],
    ['/latest/', 200, 'meta-data/\nuser-data\nfailing'],
    ['/latest/meta-data/', 200, 'instance-id\nnetwork/\npublic-keys/\nsecurity-groups'],
    ['/2009-04-04/meta-data/instance-id', 200, ONE],
    ['/latest/meta-data/instance-id?x=1', 200, ONE],
    ['/latest/meta-data/instance-id/', 404],
    ['/latest/meta-data/public-keys/', 200, '0=operator'],
    ['/latest/meta-data/public-keys/0/', 200, 'openssh-key'],
    ['/latest/meta-data/public-keys/0/openssh-key', 200, 'ssh-ed25519 AAAA operator'],
    ['/latest/meta-data/public-keys/0/=', 404],
    ['/latest/meta-data/network/interfaces/macs/', 200, '0e:00:00:00:00:01/'],
    ['/latest/meta-data/security-groups', 200, 'default\nweb'],
    ['/latest/meta-data/iam/info', 404],
    ['/latest/meta-data/constructor', 404],
    ['/latest/meta-data/__proto__/x', 404],
    ['/latest//meta-data', 404],
    ['/latest/user-data', 200, '\u0000\u00ff binary'],
    ['/latest/failing', 500, /^500/],
    ['/1999-01-01/meta-data/', 404],
    ['/latest/dynamic/instance-identity/signature', 404],
  ];
  for (const [path, status, body] of PATHS) {
    test(`IMDSv1 GET ${path}: ${status}`, async () => {
      const said = await ask('GET', path);
      assert.equal(said.status, status);
      if (typeof body === 'string') assert.equal(said.body, body);
      else if (body) assert.match(said.body, body);
      assert.equal(said.headers.connection, 'close');
    });
  }

  test('a token is asked for by PUT, says how long it lives, and opens both versions', async () => {
    const made = await ask('PUT', '/latest/api/token', { [TTL]: '21600' });
    assert.equal(made.status, 200);
    assert.equal(made.headers['x-aws-ec2-metadata-token-ttl-seconds'], '21600');
    assert.equal(made.body.length, 56);
    options = { ...OPEN, httpTokens: 'required' };
    assert.equal((await ask('GET', '/latest/meta-data/instance-id', withToken(made.body))).body, ONE);
    assert.equal((await ask('HEAD', '/latest/meta-data/instance-id', withToken(made.body))).status, 200);
    assert.equal((await ask('GET', '/latest/meta-data/instance-id')).status, 401);
    options = OPEN;
    assert.equal((await ask('GET', '/latest/meta-data/instance-id', withToken(made.body))).status, 200);
  });

  for (const seconds of ['0', '21601', '-1', '1.5', '1e3', '', 'sixty', ' 5,6']) {
    test(`a token that shall live ${JSON.stringify(seconds)} seconds is refused`, async () => {
      assert.equal((await ask('PUT', '/latest/api/token', { [TTL]: seconds })).status, 400);
    });
  }

  test('a token ends with its time, and is none for another instance', async () => {
    const mine = await token('10');
    const get = () => ask('GET', '/latest/meta-data/instance-id', withToken(mine));
    assert.equal((await get()).status, 200);
    caller = OTHER;
    assert.equal((await get()).status, 401);
    caller = ONE;
    now += 10_000;
    assert.equal((await get()).status, 401);
  });

  test('a token that was changed anywhere is none, also where none is needed', async () => {
    const good = await token();
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: 53 }), fc.constantFrom('A', 'z', '0', '_', ' '), async (at, letter) => {
        fc.pre(good[at] !== letter);
        // The last letter of the code holds spare bits.
        fc.pre(at < 53);
        const bad = good.slice(0, at) + letter + good.slice(at + 1);
        assert.equal((await ask('GET', '/latest/meta-data/instance-id', withToken(bad))).status, 401);
      }),
      { numRuns: 30, verbose: 1 },
    );
  });

  test('what came through a proxy gets no token', async () => {
    const through = { [TTL]: '60', 'X-Forwarded-For': '10.0.0.1' };
    assert.equal((await ask('PUT', '/latest/api/token', through)).status, 403);
  });

  test('other methods and other places to PUT are refused', async () => {
    assert.equal((await ask('PUT', '/latest/meta-data/instance-id', { [TTL]: '60' })).status, 405);
    for (const method of ['POST', 'DELETE', 'OPTIONS']) assert.equal((await ask(method, '/latest/')).status, 405);
  });

  test('disabled, and for an instance that is gone, it is off', async () => {
    options = { ...OPEN, httpEndpoint: 'disabled' };
    assert.equal((await ask('GET', '/latest/meta-data/instance-id')).status, 403);
    assert.equal((await ask('PUT', '/latest/api/token', { [TTL]: '60' })).status, 403);
    options = OPEN;
    caller = newEc2Id<InstanceId>('i');
    assert.equal((await ask('GET', '/latest/')).status, 403);
    caller = ONE;
  });

  test('a connection carries one request, whatever a guest sends along', async () => {
    const one = 'GET /latest/meta-data/instance-id HTTP/1.1\r\n\r\n';
    const said = await new Promise<string>((resolve) => {
      let all = '';
      const socket = connect(port, '127.0.0.1', () => socket.write(one.repeat(500)));
      socket.on('error', () => {});
      socket.on('data', (chunk) => {
        all += String(chunk);
      });
      socket.once('close', () => resolve(all));
    });
    assert.equal(said.match(/200 OK/g)?.length, 1);
  });

  const HOSTILE: readonly [what: string, bytes: string][] = [
    ['no HTTP', '\u0000\u0001\u0002\r\n\r\n'],
    ['headers without end', `GET / HTTP/1.1\r\n${'x: y\r\n'.repeat(4000)}`],
    ['a long path', `GET /${'a'.repeat(20_000)} HTTP/1.1\r\n\r\n`],
    ['two lengths', 'PUT / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n'],
  ];
  for (const [what, bytes] of HOSTILE) {
    test(`a guest that sends ${what} is cut off, and the next request is served`, async () => {
      await new Promise<void>((resolve) => {
        const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
        socket.on('error', () => {});
        socket.resume().once('close', () => resolve());
      });
      assert.equal((await ask('GET', '/latest/meta-data/instance-id')).body, ONE);
    });
  }
});

test('a tree is looked up without ever leaving it', async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({ maxLength: 60 }), async (path) => {
      const found = await lookUp(TREE, `/latest/${path}`);
      assert.ok(found === undefined || typeof found === 'string' || path.includes('failing'));
    }),
  );
});
