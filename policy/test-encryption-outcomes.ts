/** Tables 1.1, 1.4, 1.5 and 6.3 of the specification as data: inputs, and the result with the default off and on. */
import type { KeyChoice, OutcomeRefusal, SourceKind } from './encryption-outcomes.ts';

export type Expected = KeyChoice | OutcomeRefusal;
export interface Row {
  readonly row: string;
  readonly source: SourceKind;
  readonly encrypted: boolean | undefined;
  readonly keyGiven: boolean;
  readonly off: Expected;
  readonly on: Expected;
}

const DEP = 'kms-key-without-encrypted';
const COMB = 'encrypted-false-of-encrypted';

type Short = readonly [encrypted: boolean | undefined, keyGiven: boolean, off: Expected, on: Expected];

function rows(first: number, source: SourceKind, short: readonly Short[]): Row[] {
  return short.map(([encrypted, keyGiven, off, on], at) => ({
    row: String(first + at),
    source,
    encrypted,
    keyGiven,
    off,
    on,
  }));
}

const plainVolume: readonly Short[] = [
  [undefined, false, 'plain', 'default-key'],
  [undefined, true, DEP, DEP],
  [true, false, 'default-key', 'default-key'],
  [true, true, 'given-key', 'given-key'],
  [false, false, 'plain', 'default-key'],
  [false, true, DEP, DEP],
];
const encryptedVolume = (kept: KeyChoice): readonly Short[] => [
  [undefined, false, kept, kept],
  [undefined, true, DEP, DEP],
  [true, false, kept, kept],
  [true, true, 'given-key', 'given-key'],
  [false, false, COMB, COMB],
  // Rows 24 and 30 leave the choice; G-4 decides.
  [false, true, DEP, DEP],
];

/** Table 1.1: thirty rows, sixty combinations. */
export const VOLUME_TABLE: readonly Row[] = [
  ...rows(1, 'none', plainVolume),
  ...rows(7, 'own-plain', plainVolume),
  ...rows(13, 'shared-plain', plainVolume),
  ...rows(19, 'own-encrypted', encryptedVolume('snapshot-key')),
  ...rows(25, 'shared-encrypted', encryptedVolume('default-key')),
];

const plainCopy: readonly Short[] = [
  [undefined, false, 'plain', 'default-key'],
  [undefined, true, DEP, 'given-key'],
  [true, false, 'default-key', 'default-key'],
  [true, true, 'given-key', 'given-key'],
  [false, false, 'plain', 'default-key'],
  [false, true, DEP, DEP],
];
const encryptedCopy: readonly Short[] = [
  [undefined, false, 'default-key', 'default-key'],
  [undefined, true, 'given-key', 'given-key'],
  [true, false, 'default-key', 'default-key'],
  [true, true, 'given-key', 'given-key'],
  [false, false, 'default-key', 'default-key'],
  [false, true, 'given-key', 'given-key'],
];

/** Table 1.4. Rows 1 to 6 hold for own and shared sources; 13 and 14 stand for what 7 to 12 say of own ones. */
export const SNAPSHOT_COPY_TABLE: readonly Row[] = [
  ...rows(1, 'own-plain', plainCopy),
  ...rows(1, 'shared-plain', plainCopy),
  ...rows(7, 'own-encrypted', encryptedCopy),
  ...rows(13, 'shared-encrypted', encryptedCopy),
];

export interface ImageRow extends Row {
  readonly sameRegion: boolean;
}

const PLAIN_COPY = 'plain-copy-of-encrypted';
const image = (
  row: string,
  sources: readonly SourceKind[],
  regions: readonly boolean[],
  short: readonly Short[],
): ImageRow[] =>
  sources.flatMap((source) =>
    regions.flatMap((sameRegion) => rows(0, source, short).map((each) => ({ ...each, row, sameRegion }))),
  );
const BOTH = [true, false];

/** Table 1.5. */
export const IMAGE_COPY_TABLE: readonly ImageRow[] = [
  ...image('1', ['own-plain', 'shared-plain'], BOTH, [[undefined, false, 'plain', 'default-key']]),
  ...image('2', ['own-plain', 'shared-plain'], BOTH, [[true, false, 'default-key', 'default-key']]),
  ...image('3', ['own-plain', 'shared-plain'], BOTH, [[true, true, 'given-key', 'given-key']]),
  ...image('4', ['own-plain', 'shared-plain'], BOTH, [[false, false, 'plain', 'default-key']]),
  ...image(
    '5',
    ['own-encrypted'],
    [true],
    [
      [undefined, false, 'snapshot-key', 'snapshot-key'],
      [true, false, 'snapshot-key', 'snapshot-key'],
    ],
  ),
  ...image(
    '6',
    ['own-encrypted'],
    [false],
    [
      [undefined, false, 'default-key', 'default-key'],
      [true, false, 'default-key', 'default-key'],
    ],
  ),
  ...image('7', ['own-encrypted'], BOTH, [[true, true, 'given-key', 'given-key']]),
  ...image('8', ['own-encrypted'], BOTH, [
    [false, false, PLAIN_COPY, PLAIN_COPY],
    [false, true, PLAIN_COPY, PLAIN_COPY],
  ]),
  ...image('9', ['shared-encrypted'], BOTH, [
    [undefined, false, 'default-key', 'default-key'],
    [true, false, 'default-key', 'default-key'],
  ]),
  ...image('10', ['shared-encrypted'], BOTH, [[true, true, 'given-key', 'given-key']]),
  ...image('11', ['own-plain', 'shared-plain'], BOTH, [
    [undefined, true, DEP, DEP],
    [false, true, DEP, DEP],
  ]),
  ...image('11', ['own-encrypted', 'shared-encrypted'], BOTH, [[undefined, true, DEP, DEP]]),
];

export interface DirectRow {
  readonly row: string;
  readonly parent: 'none' | 'plain' | 'encrypted';
  readonly encrypted: boolean | undefined;
  readonly keyGiven: boolean;
  readonly off: Expected;
  readonly on: Expected;
}

/** Table 6.3. */
export const DIRECT_TABLE: readonly DirectRow[] = [
  ...rows(1, 'none', [
    [undefined, false, 'plain', 'default-key'],
    [undefined, true, 'given-key', 'given-key'],
    [true, false, 'default-key', 'default-key'],
    [true, true, 'given-key', 'given-key'],
    [false, false, 'plain', 'plain-despite-default'],
    [false, true, 'key-of-plain', 'key-of-plain'],
  ]).map((row) => ({ ...row, parent: 'none' as const })),
  {
    row: '7',
    parent: 'plain',
    encrypted: undefined,
    keyGiven: false,
    off: 'plain',
    on: 'plain-despite-default',
  },
  { row: '8', parent: 'encrypted', encrypted: undefined, keyGiven: false, off: 'snapshot-key', on: 'snapshot-key' },
  ...(['plain', 'encrypted'] as const).flatMap((parent) => [
    ...[true, false].flatMap((encrypted) =>
      [true, false].map((keyGiven) => ({
        row: '9',
        parent,
        encrypted,
        keyGiven,
        off: 'parent-and-encrypted' as const,
        on: 'parent-and-encrypted' as const,
      })),
    ),
    {
      row: '10',
      parent,
      encrypted: undefined,
      keyGiven: true,
      off: 'parent-and-key' as const,
      on: 'parent-and-key' as const,
    },
  ]),
];
