/** Every bound of Ingot in one table. Units are in the names. AWS's own limits cite the specification. */
export const LIMITS = {
  /** http: largest body of an ordinary call; a block of the EBS direct APIs is larger by its size. */
  bodyBytesMax: 1024 * 1024,
  headerBytesMax: 64 * 1024,
  /** Memory for bodies that are being received or served, all together; what does not fit waits unread. */
  bodiesBytesMax: 64 * 1024 * 1024,
  /** A body up to this size does not count: it is small change, and must get through while large ones wait. */
  smallBodyBytes: 16 * 1024,
  connectionsMax: 4096,
  requestsInFlightMax: 512,
  requestTimeoutMs: 120_000,

  /** wire: bounds of one decoded request. */
  inputDepthMax: 24,
  inputMembersMax: 20_000,
  stringLengthMax: 512 * 1024,

  /** authn: clock window (authorization-and-wire 10.8) and presigned life (10.6). */
  clockSkewMs: 5 * 60_000,
  clockSkewQueryMs: 15 * 60_000,
  presignedLifeSecondsMax: 604_800,

  /** storage: sizes fixed by the EBS direct APIs (ec2-encryption E-1) and by Ingot's formats. */
  blockBytes: 524_288,
  sectorBytes: 4096,
  segmentBlocks: 256,
  mapPageBlocks: 256,
  volumeGiBMax: 65_536,
  cryptoWorkers: 2,
  cryptoQueueBlocks: 32,

  /** ec2: copies in progress of one account in a destination region (ec2-encryption CS-14, CI-8). */
  snapshotCopiesMax: 20,
  imageCopiesMax: 100,
  /** ec2: snapshots of one volume that may be pending (L-27), and how many may begin within a time (L-26). */
  volumeSnapshotsPendingMax: 5,
  volumeSnapshotsPerWindowMax: 5,
  volumeSnapshotsWindowMs: 15_000,
  /** ebs: snapshots of one account in a region that may be open for blocks (E-24). */
  directSnapshotsPendingMax: 100,
  /**
   * autoscaling: groups of one account in a region, launches that one look at a group begins, and activities kept of a
   * group beside those in progress. Answers about several groups tell of the newest ones.
   */
  autoScalingGroupsMax: 500,
  autoScalingLaunchesAtATime: 10,
  autoScalingActivitiesKept: 1000,
  autoScalingActivitiesTold: 10_000,
  /** ec2: snapshots of one account in a region and zone with fast restore. */
  fastRestoresMax: 50,

  /** ec2: screenshots that one account may wait for at a time; they are taken one after another. */
  screenshotsWaitingMax: 4,

  jobsRunningMax: 8,
  auditLookupMax: 50,
} as const;

/**
 * kms: calls per second of one account in one Region (kms 28.2 to 28.4), imposed where `INGOT_KMS_THROTTLE` says so.
 * Operations that the specification gives no rate are free.
 */
export const KMS_RATES = {
  /** Cryptographic operations with symmetric and HMAC keys, and GenerateRandom, together. */
  symmetric: {
    'us-east-1': 100_000,
    'us-west-2': 100_000,
    'eu-west-1': 100_000,
    'us-east-2': 20_000,
    'ap-southeast-1': 20_000,
    'ap-southeast-2': 20_000,
    'ap-northeast-1': 20_000,
    'eu-central-1': 20_000,
    'eu-west-2': 20_000,
  },
  symmetricElsewhere: 10_000,
  /** `ml`: ML-DSA, and ML-KEM, whose rate is not known. */
  families: { rsa: 1000, ecc: 1000, ml: 1000 },
  pairs: {
    'p-256': 100,
    'p-384': 100,
    'p-521': 100,
    secp256k1: 100,
    ed25519: 100,
    'rsa-2048': 20,
    'rsa-3072': 4,
    'rsa-4096': 1,
  },
  operations: {
    CreateKey: 5,
    CreateAlias: 5,
    EnableKey: 5,
    DisableKey: 5,
    CancelKeyDeletion: 5,
    UpdateAlias: 5,
    UntagResource: 5,
    UpdateKeyDescription: 5,
    ReplicateKey: 5,
    RotateKeyOnDemand: 5,
    GetKeyLastUsage: 5,
    TagResource: 10,
    PutKeyPolicy: 15,
    ScheduleKeyDeletion: 15,
    DeleteAlias: 15,
    EnableKeyRotation: 15,
    ImportKeyMaterial: 15,
    CreateGrant: 50,
    RetireGrant: 50,
    RevokeGrant: 50,
    ListGrants: 100,
    ListRetirableGrants: 100,
    ListKeyPolicies: 100,
    ListKeyRotations: 100,
    ListKeys: 500,
    ListAliases: 500,
    GetKeyPolicy: 1000,
    GetKeyRotationStatus: 1000,
    DescribeKey: 2000,
    GetPublicKey: 2000,
    ListResourceTags: 2000,
    GetParametersForImport: 1,
  },
} as const;
