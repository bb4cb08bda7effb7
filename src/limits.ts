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
  /** ec2: snapshots of one account in a region and zone with fast restore. */
  fastRestoresMax: 50,

  jobsRunningMax: 8,
  auditLookupMax: 50,
} as const;
