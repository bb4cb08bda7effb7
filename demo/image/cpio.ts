/** Writes a cpio archive in the `newc` format, which the Linux kernel unpacks as its initial file system. */

export type CpioEntry =
  | { readonly kind: 'directory'; readonly path: string }
  | { readonly kind: 'file'; readonly path: string; readonly bytes: Uint8Array; readonly executable?: boolean }
  | { readonly kind: 'symlink'; readonly path: string; readonly target: string }
  | { readonly kind: 'character-device'; readonly path: string; readonly major: number; readonly minor: number };

const MODE = { directory: 0o040755, file: 0o100644, symlink: 0o120777, 'character-device': 0o020600 } as const;

/** The whole archive, with its trailer. Paths have no leading slash; parents come before children. */
export function cpioArchive(entries: readonly CpioEntry[]): Uint8Array {
  const parts: Buffer[] = [];
  entries.forEach((entry, index) => {
    const body =
      entry.kind === 'file' ? entry.bytes : entry.kind === 'symlink' ? Buffer.from(entry.target) : new Uint8Array(0);
    const executable = entry.kind === 'file' && entry.executable ? 0o111 : 0;
    const device = entry.kind === 'character-device' ? entry : { major: 0, minor: 0 };
    parts.push(record(index + 1, MODE[entry.kind] | executable, entry.path, body, device));
  });
  parts.push(record(0, 0, 'TRAILER!!!', new Uint8Array(0), { major: 0, minor: 0 }));
  return Buffer.concat(parts);
}

function record(
  inode: number,
  mode: number,
  path: string,
  body: Uint8Array,
  device: { major: number; minor: number },
): Buffer {
  const name = Buffer.from(`${path}\0`);
  // inode, mode, uid, gid, links, mtime, size, device (major, minor), node's device (major, minor), name length, check
  const fields = [inode, mode, 0, 0, 1, 0, body.length, 0, 0, device.major, device.minor, name.length, 0];
  const header = Buffer.from(`070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`);
  return Buffer.concat([padded(Buffer.concat([header, name])), padded(body)]);
}

function padded(bytes: Uint8Array): Uint8Array {
  const rest = bytes.length % 4;
  return rest === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(4 - rest)]);
}
