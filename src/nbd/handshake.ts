/** Fixed newstyle handshake: agrees on the one export there is, and gives way to transmission. */
import type { Socket } from 'node:net';
import type { ByteReader } from './byte-reader.ts';
import {
  FLAG_FIXED_NEWSTYLE,
  FLAG_NO_ZEROES,
  INFO,
  INIT_MAGIC,
  NBD_LIMITS,
  OPT,
  OPTION_MAGIC,
  OPTION_REPLY_MAGIC,
  REP,
  TRANSMISSION_FLAGS,
} from './protocol.ts';

export interface ExportInfo {
  readonly name: string;
  readonly sizeBytes: number;
}

/** True when transmission begins; false when the client has left or must be left. */
export async function shakeHands(socket: Socket, reader: ByteReader, served: ExportInfo): Promise<boolean> {
  const greeting = Buffer.alloc(18);
  INIT_MAGIC.copy(greeting, 0);
  OPTION_MAGIC.copy(greeting, 8);
  greeting.writeUInt16BE(FLAG_FIXED_NEWSTYLE | FLAG_NO_ZEROES, 16);
  socket.write(greeting);

  const flags = (await reader.read(4))?.readUInt32BE(0);
  if (flags === undefined || flags & ~(FLAG_FIXED_NEWSTYLE | FLAG_NO_ZEROES)) return false;
  const withoutZeroes = (flags & FLAG_NO_ZEROES) !== 0;

  for (let options = 0; options < NBD_LIMITS.optionsMax; options++) {
    const header = await reader.read(16);
    if (!header?.subarray(0, 8).equals(OPTION_MAGIC)) return false;
    const option = header.readUInt32BE(8);
    const length = header.readUInt32BE(12);
    // A length without bound could keep us reading for ever, so such a client is left rather than answered.
    if (length > NBD_LIMITS.optionBytesMax) return false;
    const data = length === 0 ? Buffer.alloc(0) : await reader.read(length);
    if (!data) return false;
    const reply = (kind: number, body: Buffer = Buffer.alloc(0)): void => {
      socket.write(optionReply(option, kind, body));
    };

    if (option === OPT.exportName) {
      if (!isServed(data, served)) return false;
      socket.write(exportNameReply(served, withoutZeroes));
      return true;
    }
    if (option === OPT.abort) {
      reply(REP.ack);
      return false;
    }
    if (option === OPT.list) {
      if (length !== 0) reply(REP.errorInvalid);
      else {
        const name = Buffer.from(served.name);
        const entry = Buffer.alloc(4 + name.byteLength);
        entry.writeUInt32BE(name.byteLength, 0);
        name.copy(entry, 4);
        reply(REP.server, entry);
        reply(REP.ack);
      }
    } else if (option === OPT.info || option === OPT.go) {
      const asked = parseInfoRequest(data);
      if (!asked) reply(REP.errorInvalid);
      else if (!isServed(asked.name, served)) reply(REP.errorUnknown);
      else {
        reply(REP.info, exportInfo(served));
        if (asked.infos.includes(INFO.blockSize)) reply(REP.info, blockSizeInfo());
        reply(REP.ack);
        if (option === OPT.go) return true;
      }
    } else {
      // Structured replies, metadata contexts and TLS among them.
      reply(REP.errorUnsupported);
    }
  }
  return false;
}

/** The empty name is the default export. */
function isServed(name: Buffer, served: ExportInfo): boolean {
  return name.byteLength === 0 || name.equals(Buffer.from(served.name));
}

function parseInfoRequest(data: Buffer): { name: Buffer; infos: number[] } | undefined {
  if (data.byteLength < 6) return undefined;
  const nameLength = data.readUInt32BE(0);
  if (nameLength > data.byteLength - 6) return undefined;
  const count = data.readUInt16BE(4 + nameLength);
  const at = 6 + nameLength;
  if (data.byteLength !== at + count * 2) return undefined;
  return {
    name: data.subarray(4, 4 + nameLength),
    infos: Array.from({ length: count }, (_, i) => data.readUInt16BE(at + i * 2)),
  };
}

function optionReply(option: number, kind: number, body: Buffer): Buffer {
  const header = Buffer.alloc(20);
  OPTION_REPLY_MAGIC.copy(header, 0);
  header.writeUInt32BE(option, 8);
  header.writeUInt32BE(kind, 12);
  header.writeUInt32BE(body.byteLength, 16);
  return Buffer.concat([header, body]);
}

function exportInfo(served: ExportInfo): Buffer {
  const info = Buffer.alloc(12);
  info.writeUInt16BE(INFO.export, 0);
  info.writeBigUInt64BE(BigInt(served.sizeBytes), 2);
  info.writeUInt16BE(TRANSMISSION_FLAGS, 10);
  return info;
}

function blockSizeInfo(): Buffer {
  const info = Buffer.alloc(14);
  info.writeUInt16BE(INFO.blockSize, 0);
  info.writeUInt32BE(1, 2);
  info.writeUInt32BE(NBD_LIMITS.preferredBlockBytes, 6);
  info.writeUInt32BE(NBD_LIMITS.payloadBytesMax, 10);
  return info;
}

function exportNameReply(served: ExportInfo, withoutZeroes: boolean): Buffer {
  const reply = Buffer.alloc(withoutZeroes ? 10 : 134);
  reply.writeBigUInt64BE(BigInt(served.sizeBytes), 0);
  reply.writeUInt16BE(TRANSMISSION_FLAGS, 8);
  return reply;
}
