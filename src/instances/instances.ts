/**
 * Instances: what a user launches from an image. An instance has a record, volumes, a network interface and, while it
 * runs, a machine. Its states are those of EC2:
 *
 *     pending ──▶ running ◀──▶ stopping/stopped          every arrow is a durable job; where KMS refuses,
 *        └──────────┴──▶ shutting-down ──▶ terminated     pending ends terminated (K-14), a start ends stopped (K-17)
 *
 * This file is the contract that the services see.
 */
import type { Call } from '../authz/caller.ts';
import type { Permit } from '../authz/permit.ts';
import type { Tx } from '../db/db.ts';
import type { AccountId, ImageId, InstanceId, LaunchTemplateId, Region, VolumeId } from '../ids.ts';
import type { ImageRecord, InstancesForImages } from '../images/images.ts';
import type { SubnetRecord } from '../network/network.ts';
import type { Tag } from '../tags/tags.ts';
import type { EncryptionOutcome, VolumeRequest } from '../volumes/volumes.ts';
import type { RootReplacements } from './root-replacement.ts';

export type InstanceState = 'pending' | 'running' | 'shutting-down' | 'terminated' | 'stopping' | 'stopped';

/** Codes of 7.1. */
export const STATE_CODES: Readonly<Record<InstanceState, number>> = {
  pending: 0,
  running: 16,
  'shutting-down': 32,
  terminated: 48,
  stopping: 64,
  stopped: 80,
};

export interface StateReason {
  readonly code: string;
  readonly message: string;
}

/** One device as the launch wants it; the volume's id is known before the volume is made, so making it may repeat. */
export interface LaunchDevice {
  readonly deviceName: string;
  readonly volumeId: VolumeId;
  readonly request: VolumeRequest;
  readonly outcome: EncryptionOutcome;
  readonly deleteOnTermination: boolean;
}

/** How the guest may use the metadata service. */
export interface MetadataOptions {
  readonly httpEndpoint: 'enabled' | 'disabled';
  /** `required` is IMDSv2 only. */
  readonly httpTokens: 'optional' | 'required';
  /** How many hops an answer with a token survives: its packets' time to live, 1 to 64. */
  readonly hopLimit: number;
  readonly instanceTags: 'enabled' | 'disabled';
}

/** The instance profile, as it was when it was given to the instance. */
export interface GivenProfile {
  readonly arn: string;
  readonly id: string;
  readonly associationId: string;
  /** Epoch ms. */
  readonly since: number;
}

/** The one-time request that a spot instance came of. */
export interface SpotRequest {
  readonly id: string;
  /** Epoch ms. */
  readonly createdAt: number;
  /** The user has no more interest in the request; the instance goes on. */
  readonly cancelledAt?: number;
}

export interface InstanceRecord {
  readonly id: InstanceId;
  readonly ownerId: AccountId;
  readonly region: Region;
  readonly reservationId: string;
  readonly launchIndex: number;
  /** ARN of who launched it. */
  readonly launchedBy: string;
  readonly imageId: ImageId;
  readonly instanceType: string;
  readonly state: InstanceState;
  readonly stateReason?: StateReason;
  readonly stateTransitionReason: string;
  readonly launchTime: Date;
  readonly terminatedAt?: Date;
  readonly zone: string;
  readonly subnetId: string;
  readonly vpcId: string;
  readonly privateIp: string;
  readonly groupIds: readonly string[];
  readonly keyName?: string;
  /** Line for `authorized_keys`; what the key pair was at launch. */
  readonly publicKey?: string;
  /** Absent only where the instance was launched before there was a service. */
  readonly metadata?: MetadataOptions;
  readonly profile?: GivenProfile;
  /** Loopback address of this host on which the guest's SSH port is reached; given at start where guests are. */
  readonly publicIp?: string;
  readonly architecture: string;
  /** As the image has it. */
  readonly bootMode?: ImageRecord['bootMode'];
  /** What the machine boots with. */
  readonly currentBootMode: 'legacy-bios' | 'uefi';
  readonly rootDeviceName: string;
  readonly virtualizationType: string;
  readonly enaSupport: boolean;
  readonly platform?: 'windows';
  readonly platformDetails: string;
  readonly shutdownBehavior: 'stop' | 'terminate';
  readonly disableApiTermination: boolean;
  readonly disableApiStop: boolean;
  readonly clientToken?: string;
  /** Present with spot instances; when one stops running, it terminates. */
  readonly spot?: SpotRequest;
  readonly devices: readonly LaunchDevice[];
  /** It has been running: the devices of the launch have become attached volumes. */
  readonly launched: boolean;
  /** The machine is down for a moment and the instance is not: a reboot, or CreateImage. */
  readonly held: boolean;
}

export interface AttachedVolume {
  readonly deviceName: string;
  readonly volumeId: VolumeId;
  readonly state: 'attaching' | 'attached' | 'busy' | 'detaching' | 'detached';
  readonly attachTime: Date;
  readonly deleteOnTermination: boolean;
}

/** A launch that was checked and authorized. */
export interface LaunchRequest {
  readonly ownerId: AccountId;
  readonly image: ImageRecord;
  readonly instanceType: string;
  readonly count: number;
  readonly subnet: SubnetRecord;
  readonly groupIds: readonly string[];
  readonly privateIp?: string;
  readonly interfaceDescription: string;
  readonly interfaceDeleteOnTermination: boolean;
  readonly keyName?: string;
  readonly publicKey?: string;
  readonly metadata: MetadataOptions;
  readonly profile?: Pick<GivenProfile, 'arn' | 'id'>;
  readonly userData?: Uint8Array;
  readonly shutdownBehavior: InstanceRecord['shutdownBehavior'];
  readonly disableApiTermination: boolean;
  readonly disableApiStop: boolean;
  readonly clientToken?: string;
  readonly devices: readonly Omit<LaunchDevice, 'volumeId'>[];
  readonly tags: {
    readonly instance: readonly Tag[];
    readonly volume: readonly Tag[];
    readonly 'network-interface': readonly Tag[];
  };
  /** EC2 Spot's call in its role, in whose name then the volumes are made (P-15); absent with on-demand instances. */
  readonly spotCall?: Call;
  readonly launchTemplate?: { readonly id: LaunchTemplateId; readonly version: number };
}

export type InstanceRefusalReason =
  | 'instance-not-found'
  | 'instance-state'
  | 'instance-termination-protected'
  | 'instance-stop-protected'
  | 'instance-spot'
  | 'spot-request-not-found'
  | 'device-in-use'
  | 'device-is-root'
  | 'profile-given'
  | 'association-not-found'
  | 'zone-mismatch'
  | 'multi-attach-type'
  | 'root-replacement-under-way'
  | 'no-screen'
  | 'screenshots-too-many';

export interface Instances extends InstancesForImages, RootReplacements {
  find(region: Region, id: string): Promise<InstanceRecord | undefined>;
  /** Terminated ones for about an hour (L-2). */
  list(account: AccountId, region: Region): Promise<InstanceRecord[]>;
  /** By account: those that are not terminated and were launched from the image. */
  countByImage(region: Region, image: string): Promise<ReadonlyMap<AccountId, number>>;
  /** All instances of one launch. */
  ofReservation(reservationId: string): Promise<InstanceRecord[]>;
  /** Volumes by instance, the root device first. */
  attachedVolumes(account: AccountId, region: Region): Promise<ReadonlyMap<InstanceId, readonly AttachedVolume[]>>;
  /** Records pending instances and enqueues a job for each, in the name of the caller (RI-5, RI-6). */
  launch(tx: Tx, permit: Permit<'ec2:RunInstances'>, call: Call, request: LaunchRequest): Promise<InstanceRecord[]>;
  /** Gives the state before and after. The caller's rights on the keys decide later (K-17). */
  start(tx: Tx, permit: Permit<'ec2:StartInstances'>, call: Call): Promise<StateChange>;
  stop(tx: Tx, permit: Permit<'ec2:StopInstances'>, options: { readonly force: boolean }): Promise<StateChange>;
  reboot(tx: Tx, permit: Permit<'ec2:RebootInstances'>): Promise<void>;
  terminate(
    tx: Tx,
    permit: Permit<'ec2:TerminateInstances'>,
    options?: { readonly force: boolean },
  ): Promise<StateChange>;
  modify(tx: Tx, permit: Permit<'ec2:ModifyInstanceAttribute'>, change: InstanceChange): Promise<void>;
  /** Takes effect with the guest's next request. */
  modifyMetadata(
    tx: Tx,
    permit: Permit<'ec2:ModifyInstanceMetadataOptions'>,
    change: Partial<MetadataOptions>,
  ): Promise<MetadataOptions>;
  /** The permit names the request. Gives the instance that it is about. */
  cancelSpotRequest(tx: Tx, permit: Permit<'ec2:CancelSpotInstanceRequests'>): Promise<InstanceRecord>;
  userData(permit: Permit<'ec2:DescribeInstanceAttribute'>): Promise<Uint8Array | undefined>;
  /** Gives the instance a profile, or another one where `replacing` names the association it has. */
  giveProfile(
    tx: Tx,
    permit: Permit<'ec2:AssociateIamInstanceProfile' | 'ec2:ReplaceIamInstanceProfileAssociation'>,
    profile: Pick<GivenProfile, 'arn' | 'id'>,
    replacing?: string,
  ): Promise<InstanceRecord>;
  /** Gives the record as it was. */
  takeProfile(
    tx: Tx,
    permit: Permit<'ec2:DisassociateIamInstanceProfile'>,
    associationId: string,
  ): Promise<InstanceRecord>;
  /** Attaches a volume to a running or stopped instance; a KMS refusal is thrown (K-18) and changes nothing. */
  attachVolume(
    permit: Permit<'ec2:AttachVolume'>,
    call: Call,
    request: { readonly volumeId: VolumeId; readonly device: string },
  ): Promise<AttachedVolume>;
  /** With `force` also from a guest that does not let go of it. */
  detachVolume(
    permit: Permit<'ec2:DetachVolume'>,
    volumeId: VolumeId,
    options: { readonly force: boolean },
  ): Promise<AttachedVolume>;
  /** Status checks of a running instance. */
  health(record: InstanceRecord): InstanceHealth;
  /** At most the last 64 KiB that the guest wrote to its console. */
  consoleOutput(permit: Permit<'ec2:GetConsoleOutput'>): Promise<{ readonly output: Uint8Array; readonly at: Date }>;
  /** The guest's screen as a JPEG; a picture of what its volumes hold, and kept nowhere. */
  screenshot(permit: Permit<'ec2:GetConsoleScreenshot'>, options: { readonly wakeUp: boolean }): Promise<Uint8Array>;
  /** Takes up what an earlier process left: machines that run on are adopted, dead ones stop. Before jobs start. */
  recover(): Promise<void>;
  /** Lets go of the guests' networks; the guests run on. */
  close(): void;
}

export interface InstanceHealth {
  /** The machine: its process is there. */
  readonly system: 'passed' | 'initializing';
  /** The guest: it has used its network card, within five minutes of its start. Without guests nothing can fail. */
  readonly instance: 'passed' | 'initializing' | 'failed';
  readonly impairedSince?: Date;
}

/** Attributes of ModifyInstanceAttribute; type and user data only while it is stopped. */
export type InstanceChange = Partial<
  Pick<InstanceRecord, 'shutdownBehavior' | 'disableApiTermination' | 'disableApiStop' | 'instanceType' | 'groupIds'>
> & { readonly userData?: Uint8Array };

/** What instances ask of identity: the role behind an instance profile, and EC2's session of it. */
export interface RolesForInstances {
  roleOf(profile: Pick<GivenProfile, 'arn' | 'id'>): Promise<
    | {
        readonly profile: { readonly arn: string; readonly id: string };
        readonly roleName?: string;
      }
    | undefined
  >;
  credentialsOf(
    profile: Pick<GivenProfile, 'arn' | 'id'>,
    instance: { readonly id: InstanceId; readonly region: Region },
  ): Promise<
    | {
        readonly accessKeyId: string;
        readonly secretAccessKey: string;
        readonly sessionToken: string;
        readonly issuedAt: Date;
        readonly expiresAt: Date;
      }
    | undefined
  >;
}

export interface StateChange {
  readonly instance: InstanceRecord;
  readonly previous: InstanceState;
}
