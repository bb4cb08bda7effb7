/**
 * The network of running guests: each one's card is joined to Ingot, which gives it its address, serves it instance
 * metadata, and, where the operator wants guests to be reached, passes connections on to its SSH port.
 */
import { createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type GuestLink, serveLink } from '../guest-network/link.ts';
import type { InstanceId } from '../ids.ts';
import type { Context } from './context.ts';
import type { InstanceRecord } from './instances.ts';
import { createMetadataServer } from './metadata/server.ts';
import { hostNameParts, metadataOf } from './metadata/view.ts';
import { findInstance, replaceInstance } from './tables.ts';

const METADATA_ADDRESS = '169.254.169.254';
const METADATA_PORT = 80;
const SSH_PORT = 22;
const CALLERS_MAX = 32;
const ADDRESS_TRIES = 20;

export interface Links {
  /** Joins the card of a machine that runs; nothing to do for one that is joined. */
  join(record: InstanceRecord): Promise<void>;
  /** Holds for the guest's connections to the metadata service from now on. */
  setHopLimit(id: InstanceId, hopLimit: number): void;
  /** When the card was joined, and whether the guest has used it; `undefined` for one that is not joined. */
  seen(id: InstanceId): { readonly since: Date; readonly heard: boolean } | undefined;
  close(): void;
}

interface Joined {
  readonly link: GuestLink;
  readonly since: Date;
  hopLimit: number;
}

export function createLinks(context: () => Context): Links {
  const links = new Map<InstanceId, Joined>();
  const fronts = new Set<Server>();
  let metadata: ReturnType<typeof createMetadataServer> | undefined;

  async function open(ctx: Context, record: InstanceRecord, frames: Duplex): Promise<Joined> {
    metadata ??= createMetadataServer({ view: (id) => metadataOf(ctx, id), clock: ctx.clock, log: ctx.log });
    const server = metadata;
    const { id } = record;
    const network = await ctx.network.defaults(record.ownerId, record.region);
    const subnet = network.subnets.find((each) => each.id === record.subnetId);
    const [card] = await ctx.network.interfacesOf([id]);
    if (!subnet || !card) throw new Error(`instance ${id} has no place in a network`);
    const { label, domain } = hostNameParts(record);
    const joined = { since: ctx.clock(), hopLimit: record.metadata?.hopLimit ?? 1 };
    const link = serveLink(frames, {
      mac: card.mac,
      address: card.privateIp,
      subnet: subnet.cidr,
      hostName: label,
      domain,
      serve: (address, port) =>
        address === METADATA_ADDRESS && port === METADATA_PORT
          ? { timeToLive: joined.hopLimit, accept: (stream) => server.accept(id, stream) }
          : undefined,
    });
    return Object.assign(joined, { link });
  }

  /** Passes callers of the guest's public address on to its SSH port. */
  async function openFront(ctx: Context, record: InstanceRecord, link: GuestLink, port: number): Promise<void> {
    const server = createServer({ allowHalfOpen: true }, (caller) => passOn(caller, link));
    server.maxConnections = CALLERS_MAX;
    for (let tries = 0; tries < ADDRESS_TRIES; tries++) {
      const address = tries === 0 && record.publicIp ? record.publicIp : randomLoopback();
      if (!(await listens(server, address, port))) continue;
      server.on('error', (error) => ctx.log.error({ instanceId: record.id, error }, 'the front of a guest failed'));
      fronts.add(server);
      void link.closed.then(() => {
        server.close();
        fronts.delete(server);
      });
      await ctx.db.write(async (tx) => {
        const now = await findInstance(tx.as(), record.id);
        if (now) await replaceInstance(tx.as(), { ...now, publicIp: address });
      });
      return;
    }
    throw new Error(`no loopback address is free at port ${port}`);
  }

  return {
    async join(record) {
      const ctx = context();
      if (links.has(record.id)) return;
      const frames = await ctx.driver.openNetwork(record.id);
      if (!frames) return;
      const joined = await open(ctx, record, frames).catch((error: unknown) => {
        frames.destroy();
        throw error;
      });
      links.set(record.id, joined);
      void joined.link.closed.then(() => links.delete(record.id));
      if (ctx.front) await openFront(ctx, record, joined.link, ctx.front.sshPort);
    },
    setHopLimit(id, hopLimit) {
      const joined = links.get(id);
      if (joined) joined.hopLimit = hopLimit;
    },
    seen(id) {
      const joined = links.get(id);
      return joined && { since: joined.since, heard: joined.link.heard };
    },
    close() {
      for (const server of fronts) server.close();
      for (const { link } of links.values()) link.close();
    },
  };
}

function passOn(caller: Socket, link: GuestLink): void {
  const guest = link.connect(SSH_PORT);
  const end = () => {
    caller.destroy();
    guest.destroy();
  };
  caller.on('error', end);
  guest.on('error', end);
  caller.once('close', () => guest.destroy());
  guest.once('close', () => caller.destroySoon());
  caller.pipe(guest);
  guest.pipe(caller);
}

/** Resolves with false where the address is taken at that port. */
function listens(server: Server, host: string, port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(false);
      else reject(error);
    };
    server.once('error', failed);
    server.listen(port, host, () => {
      server.off('error', failed);
      resolve(true);
    });
  });
}

/** One of the addresses that are all this host's own: 127.16.0.0 to 127.254.255.255. */
function randomLoopback(): string {
  const [a = 0, b = 0, c = 0] = globalThis.crypto.getRandomValues(new Uint8Array(3));
  return `127.${16 + (a % 239)}.${b}.${1 + (c % 254)}`;
}

/** Refuses to begin where the operating system would not let guests be reached at this port. */
export async function requireFront(sshPort: number): Promise<void> {
  const server = createServer();
  for (let tries = 0; tries < ADDRESS_TRIES; tries++) {
    const free = await listens(server, randomLoopback(), sshPort).catch((cause: unknown) => {
      const hint = 'needs root, or net.ipv4.ip_unprivileged_port_start; --guest-ssh-port takes another';
      throw new Error(`port ${sshPort} of loopback addresses cannot be opened for guests: it ${hint}`, { cause });
    });
    if (!free) continue;
    await new Promise((resolve) => server.close(resolve));
    return;
  }
}
