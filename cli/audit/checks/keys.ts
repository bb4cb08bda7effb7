/** Keys that something depends on, and that are gone, going, or open to anybody. */

import { keyResource } from '../arns.ts';
import { awsCommand, type Check } from '../check.ts';
import { CONTROLS } from '../controls.ts';
import type { EstateIndex } from '../estate-index.ts';
import { openTo } from '../key-audience.ts';
import { describeUse, isNeeded, useOf } from '../key-use.ts';
import type { KeyFacts, KeyUse, Part, PlaceFacts } from '../model.ts';

const USERS: readonly Part[] = ['keys', 'images', 'snapshots', 'volumes', 'instances', 'launch templates'];

const of = (key: KeyFacts) => ['--region', key.region, '--key-id', key.arn];
const resourceOf = (key: KeyFacts) => keyResource(key.arn, key.aliases[0]);

/**
 * Each key once: where its owner is audited, with its owner; a key of a stranger where it is used first. Keys of AWS
 * are nobody's to mend.
 */
function keysToJudge(place: PlaceFacts, estate: EstateIndex): KeyFacts[] {
  const { places } = estate.estate;
  return place.keys.filter(
    (key) =>
      key.manager === 'CUSTOMER' &&
      (key.account === place.account || places.find(({ keys }) => keys.some((one) => one.arn === key.arn)) === place),
  );
}

function needed(place: PlaceFacts, estate: EstateIndex, states: readonly string[]) {
  return keysToJudge(place, estate)
    .filter(({ state }) => states.includes(state))
    .map((key) => ({ key, use: useOf(key, estate) }))
    .filter(({ use }) => isNeeded(use));
}

function evidenceOf({ state, aliases, images, snapshots, volumes, instances, templates, defaults }: KeyUse) {
  return { state, aliases, images, snapshots, volumes, instances, templates, defaults };
}

export const KEY_CHECKS: readonly Check[] = [
  {
    id: 'ING-KMS-001',
    title: 'Key that something needs cannot be used',
    severity: 'high',
    why: 'Launches, attachments and copies fail until the key works again; a running instance does not survive a stop.',
    needs: [...USERS, 'encryption by default'],
    controls: CONTROLS.keyAvailability,
    find: (place, estate) =>
      needed(place, estate, ['Disabled', 'PendingImport', 'Unavailable']).map(({ key, use }) => ({
        resource: resourceOf(key),
        detail: `The key is ${key.state}, and ${describeUse(use)} ${many(use)} it.`,
        evidence: evidenceOf(use),
        mend:
          key.state === 'Disabled'
            ? [awsCommand('kms', 'enable-key', ...of(key))]
            : [awsCommand('kms', 'describe-key', ...of(key))],
      })),
  },
  {
    id: 'ING-KMS-002',
    title: 'Key that something needs is about to be deleted',
    severity: 'critical',
    why: 'With the key goes everything under it, for good.',
    needs: [...USERS, 'encryption by default'],
    controls: CONTROLS.keyDeletion,
    find: (place, estate) =>
      needed(place, estate, ['PendingDeletion', 'PendingReplicaDeletion']).map(({ key, use }) => ({
        resource: resourceOf(key),
        detail: `The key will be deleted${key.deletionDate ? ` on ${key.deletionDate}` : ''}, and ${describeUse(use)} ${many(use)} it.`,
        evidence: { ...evidenceOf(use), deletionDate: key.deletionDate },
        mend: [awsCommand('kms', 'cancel-key-deletion', ...of(key)), awsCommand('kms', 'enable-key', ...of(key))],
      })),
  },
  {
    id: 'ING-KMS-003',
    title: 'Key is not rotated',
    severity: 'medium',
    why: 'All data keys ever made are wrapped under one piece of key material.',
    needs: ['keys', 'key rotation'],
    controls: CONTROLS.rotation,
    find: (place, estate) =>
      keysToJudge(place, estate)
        .filter(({ rotation }) => rotation === false)
        .map((key) => ({
          resource: resourceOf(key),
          detail: 'Automatic rotation is off.',
          evidence: { KeyRotationEnabled: false, aliases: key.aliases, description: key.description },
          mend: [awsCommand('kms', 'enable-key-rotation', ...of(key))],
        })),
  },
  {
    id: 'ING-KMS-004',
    title: 'Key policy is open to everybody',
    severity: 'critical',
    why: 'Whoever gets at an image, a snapshot or a wrapped data key can open it, from any account.',
    needs: ['keys', 'key policies'],
    controls: CONTROLS.openKey,
    find: (place, estate) =>
      keysToJudge(place, estate).flatMap((key) => {
        const open = openTo(key);
        if (!open) return [];
        return [
          {
            resource: resourceOf(key),
            detail: `The key policy lets anybody do ${open.actions.join(', ')}, by ${open.statements.join(', ')}.`,
            evidence: { actions: open.actions, statements: open.statements, policy: key.policy },
            mend: [
              awsCommand('kms', 'get-key-policy', ...of(key), '--query', 'Policy', '--output', 'text'),
              awsCommand(
                'kms',
                'put-key-policy',
                ...of(key),
                '--policy-name',
                'default',
                '--policy',
                '<narrowed policy>',
              ),
            ],
          },
        ];
      }),
  },
  {
    id: 'ING-KMS-005',
    title: 'Something needs a key that does not exist',
    severity: 'critical',
    why: 'What is under a key that is gone cannot be opened any more; what is set to use it fails whenever it is used.',
    needs: [...USERS, 'encryption by default'],
    controls: CONTROLS.keyAvailability,
    find: (place, estate) =>
      needed(place, estate, ['Missing']).map(({ key, use }) => ({
        resource: resourceOf(key),
        detail: `KMS knows no such key, and ${describeUse(use)} ${many(use)} it.`,
        evidence: evidenceOf(use),
        mend:
          use.defaults.length > 0
            ? [awsCommand('ec2', 'reset-ebs-default-kms-key-id', '--region', key.region)]
            : [awsCommand('kms', 'describe-key', ...of(key))],
      })),
  },
];

function many({ images, snapshots, volumes, instances, templates, defaults }: KeyUse): 'needs' | 'need' {
  const all = [images, snapshots, volumes, instances, templates, defaults].reduce((sum, list) => sum + list.length, 0);
  return all === 1 ? 'needs' : 'need';
}
