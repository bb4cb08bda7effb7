import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ConfigError, readConfig, type ServeOptions } from './config.ts';

describe('configuration', () => {
  it('has the documented defaults', () => {
    const config = readConfig({}, {});
    assert.ok(config.dataDir.endsWith('/.ingot'));
    assert.deepEqual(config.listen, { host: '127.0.0.1', port: 4599 });
    assert.equal(config.machines, 'auto');
    assert.deepEqual(config.guestNetwork, { kind: 'isolated' });
    assert.equal(config.rootAccessKey, undefined);
    assert.equal(config.kmsThrottle, 'off');
    assert.ok(Object.isFrozen(config));
  });

  it('takes an IPv6 address in brackets', () => {
    assert.deepEqual(readConfig({ listen: '[::1]:80' }, {}).listen, { host: '::1', port: 80 });
  });

  it('lets guests be reached at port 22, or at another', () => {
    const guestNetwork = 'forward';
    assert.deepEqual(readConfig({ guestNetwork }, {}).guestNetwork, { kind: 'forward', sshPort: 22 });
    const { guestNetwork: chosen } = readConfig({ guestNetwork, guestSshPort: '2222' }, {});
    assert.deepEqual(chosen, { kind: 'forward', sshPort: 2222 });
  });

  it('takes root credentials from the environment', () => {
    const environment = {
      INGOT_ROOT_ACCESS_KEY_ID: 'AKIAEXAMPLEROOTKEY1',
      INGOT_ROOT_SECRET_ACCESS_KEY: 'x'.repeat(40),
    };
    assert.deepEqual(readConfig({}, environment).rootAccessKey, { id: 'AKIAEXAMPLEROOTKEY1', secret: 'x'.repeat(40) });
  });

  it('keeps the audit trail for ever unless it is told how long', () => {
    assert.equal(readConfig({}, {}).auditRetentionDays, undefined);
    assert.equal(readConfig({}, { INGOT_AUDIT_RETENTION_DAYS: 'forever' }).auditRetentionDays, undefined);
    assert.equal(readConfig({}, { INGOT_AUDIT_RETENTION_DAYS: '2190' }).auditRetentionDays, 2190);
  });

  const refusals: readonly [Partial<ServeOptions>, Record<string, string>, RegExp][] = [
    [{ listen: '4599' }, {}, /--listen must be HOST:PORT/],
    [{ listen: 'localhost:70000' }, {}, /--listen must be HOST:PORT/],
    [{ listen: '::1:80' }, {}, /--listen must be HOST:PORT/],
    [{ machines: 'vmware' }, {}, /--machines must be one of qemu, none, auto/],
    [{ guestNetwork: 'open' }, {}, /--guest-network must be one of isolated, forward/],
    [{ guestNetwork: 'forward', guestSshPort: '0' }, {}, /--guest-ssh-port must be a port/],
    [{ guestSshPort: '65536' }, {}, /--guest-ssh-port must be a port/],
    [{ data: '' }, {}, /--data/],
    [{}, { INGOT_ROOT_ACCESS_KEY_ID: 'AKIAEXAMPLEROOTKEY1' }, /must be set together/],
    [{}, { INGOT_ROOT_ACCESS_KEY_ID: 'short', INGOT_ROOT_SECRET_ACCESS_KEY: 'x'.repeat(40) }, /ACCESS_KEY_ID must be/],
    [{}, { INGOT_LOG: 'loud' }, /INGOT_LOG must be one of/],
    [
      {},
      { INGOT_AUDIT_RETENTION_DAYS: '89' },
      /INGOT_AUDIT_RETENTION_DAYS must be forever, or a number of days from 90/,
    ],
    [{}, { INGOT_AUDIT_RETENTION_DAYS: 'never' }, /INGOT_AUDIT_RETENTION_DAYS must be/],
    [{}, { INGOT_KMS_THROTTLE: 'on' }, /INGOT_KMS_THROTTLE must be one of aws, off/],
  ];
  for (const [options, environment, message] of refusals) {
    it(`refuses ${JSON.stringify({ ...options, ...environment })}`, () => {
      assert.throws(
        () => readConfig(options, environment),
        (error: unknown) => error instanceof ConfigError && message.test(error.message),
      );
    });
  }
});
