/**
 * The SDK's clients as oracle, for every operation of every service: what they send is what we read, and what we write
 * is what they read (authz 11.2, 11.4, 12.2).
 */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import fc from 'fast-check';
import { ApiError } from '../../src/errors.ts';
import type { WireRequest, WireResponse } from '../../src/wire/message.ts';
import type { OperationModel, ProtocolName, ServiceModel } from '../../src/wire/model.ts';
import { REGISTRY } from '../../src/wire/registry.ts';
import { type Claim, Wire } from '../../src/wire/wire.ts';
import { anyText, arbitraryStruct, normalise, xmlText } from './generate.ts';
import { Oracle } from './oracle.ts';

const seed = Math.floor(Math.random() * 2 ** 31);
const RUNS = 3;
/** No published client has schemas of these; boto3 and the CLI speak for one, `ingot verify` for the other. */
const wire = new Wire(REGISTRY.filter(({ name }) => name !== 'rbin' && name !== 'ingot'));

/** A query has no words for an empty list (EC2), map or structure. */
const QUERIES: readonly ProtocolName[] = ['ec2Query', 'awsQuery'];

/** Members that a client adds by itself. */
const ADDED_BY_CLIENT: Readonly<Record<string, readonly string[]>> = {
  CopySnapshot: ['PresignedUrl', 'DestinationRegion'],
};

function claimed(request: WireRequest): { claim: Claim; operation: OperationModel } {
  const claim = wire.claim(request);
  assert.ok(claim?.operation, `not claimed: ${request.method} ${request.path}`);
  return { claim, operation: claim.operation };
}

/** An answer that every client accepts for every operation: a failure it does not know. */
function stop(claim: Claim): WireResponse {
  return claim.encodeError(new ApiError('EndOfTest', 'seen', { status: 400 }), 'request-id');
}

async function checkInput(oracle: Oracle, service: ServiceModel, name: string, input: object): Promise<void> {
  let decoded: Record<string, unknown> | undefined;
  const sent = oracle.call(name, input, (request) => {
    const { claim, operation } = claimed(request);
    assert.equal(operation.name, name);
    assert.equal(claim.service.name, service.name);
    decoded = claim.decode(operation);
    return stop(claim);
  });
  await assert.rejects(sent, { name: 'EndOfTest', message: 'seen' });
  for (const member of ADDED_BY_CLIENT[name] ?? []) {
    if (!(member in input)) delete decoded?.[member];
  }
  assert.deepEqual(normalise(decoded), normalise(input));
}

async function checkOutput(oracle: Oracle, name: string, input: object, output: object): Promise<void> {
  const read = await oracle.call(name, input, (request) => {
    const { claim, operation } = claimed(request);
    return claim.encode(operation, output, 'request-id');
  });
  for (const [key, value] of Object.entries(read)) {
    const streamed = value as { transformToByteArray?: () => Promise<Uint8Array> };
    if (streamed?.transformToByteArray) Object.assign(read, { [key]: await streamed.transformToByteArray() });
  }
  assert.deepEqual(normalise(read), normalise(output));
}

for (const service of wire.services) {
  const oracle = new Oracle(service.name);
  after(() => oracle.close());
  const protocol = service.entry.protocol;

  describe(`${service.name} over ${protocol} (seed ${seed})`, () => {
    test(`what the client sends is what we read, for ${service.operationNames.length} operations`, async () => {
      for (const name of service.operationNames) {
        const operation = service.operation(name);
        assert.ok(operation);
        const text = protocol === 'restJson1' ? anyText.filter(isHeaderSafe) : anyText;
        const inputs = arbitraryStruct(operation.input, {
          text,
          depthMax: 4,
          nothingEmpty: QUERIES.includes(protocol),
        });
        const property = fc.asyncProperty(inputs, (input) => checkInput(oracle, service, name, input));
        await fc.assert(property, { seed, numRuns: RUNS, endOnFailure: false }).catch((cause) => {
          throw new Error(`input of ${name}`, { cause });
        });
      }
    });

    test(`what we write is what the client reads, for ${service.operationNames.length} operations`, async () => {
      for (const name of service.operationNames) {
        const operation = service.operation(name);
        assert.ok(operation);
        const [input] = fc.sample(arbitraryStruct(operation.input, { text: fc.constant('x'), depthMax: 0 }), 1);
        const text = protocol === 'restJson1' ? anyText.filter(isHeaderSafe) : xmlText;
        const outputs = arbitraryStruct(operation.output, { text, depthMax: 5 });
        const property = fc.asyncProperty(outputs, (output) => checkOutput(oracle, name, input ?? {}, output));
        await fc.assert(property, { seed, numRuns: RUNS, endOnFailure: false }).catch((cause) => {
          throw new Error(`output of ${name}`, { cause });
        });
      }
    });
  });
}

test('every modelled error reaches the client as its own class, with its message (authz 12.1)', async () => {
  let errors = 0;
  for (const service of wire.services) {
    const oracle = new Oracle(service.name);
    const [name] = service.operationNames;
    for (const [className, schema] of Object.entries(service.entry.schemas)) {
      if (!Array.isArray(schema) || schema[0] !== -3 || className.endsWith('ServiceException$')) continue;
      const shapeName = String(schema[2]);
      const error = new ApiError(shapeName, `a <message> & "more" of ${shapeName}`, { status: 400 });
      const shape = service.operation(name ?? '')?.input;
      assert.ok(name !== undefined && shape);
      const [input] = fc.sample(arbitraryStruct(shape, { text: fc.constant('x'), depthMax: 0 }), 1);
      await assert.rejects(
        oracle.call(name, input ?? {}, (request) => claimed(request).claim.encodeError(error, 'request-id')),
        (caught: Error & { $metadata?: { requestId?: string; httpStatusCode?: number } }) => {
          assert.equal(caught.constructor.name, className.slice(0, -1), service.name);
          assert.equal(caught.message, error.message);
          assert.equal(caught.$metadata?.requestId, 'request-id');
          return true;
        },
      );
      errors += 1;
    }
    oracle.close();
  }
  assert.ok(errors > 200, `${errors} errors`);
});

/** Headers carry neither controls nor white space at their ends, and labels are never empty. */
function isHeaderSafe(text: string): boolean {
  return /^[!-~](?:[ -~]*[!-~])?$/.test(text);
}
