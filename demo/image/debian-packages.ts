/** Packages of Debian, fetched and unpacked without installing them: no root is needed, and nothing on the machine changes. */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A kernel, busybox, SYSLINUX and mtools, unpacked once; gives the folder that looks like a root file system. */
export async function unpackedPackages(cacheDir: string): Promise<string> {
  const kernelPackage = await kernelPackageName();
  const root = join(cacheDir, `root-${kernelPackage}`);
  if (await exists(join(root, 'complete'))) return root;
  await mkdir(cacheDir, { recursive: true });
  const staging = await mkdtemp(join(cacheDir, 'unpack-'));
  try {
    const packages = [kernelPackage, 'busybox-static', 'syslinux', 'syslinux-common', 'mtools'];
    await run('apt-get', ['-q', '-o', 'APT::Sandbox::User=root', 'download', ...packages], { cwd: staging });
    const target = join(staging, 'root');
    await mkdir(target);
    for (const name of await readdir(staging)) {
      if (!name.endsWith('.deb')) continue;
      await run('dpkg-deb', ['-x', join(staging, name), target]);
    }
    // Debian's newer busybox lives under /usr.
    if (!(await exists(join(target, 'bin/busybox')))) {
      await mkdir(join(target, 'bin'), { recursive: true });
      await symlink('../usr/bin/busybox', join(target, 'bin/busybox'));
    }
    await writeFile(join(target, 'complete'), '');
    await rm(root, { recursive: true, force: true });
    await rename(target, root).catch(async (cause: NodeJS.ErrnoException) => {
      // Another process finished first; its folder is as good.
      if (cause.code !== 'ENOTEMPTY' && cause.code !== 'EEXIST') throw cause;
    });
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
  return root;
}

async function kernelPackageName(): Promise<string> {
  for (const meta of ['linux-image-cloud-amd64', 'linux-image-amd64', 'linux-image-virtual']) {
    const depends = await run('apt-cache', ['depends', meta]).catch(() => undefined);
    const name = /Depends: (linux-image-[^\s<>]*\d[^\s<>]*)/.exec(depends?.stdout ?? '')?.[1];
    if (name) return name;
  }
  throw new Error('apt-cache knows no kernel package: run apt-get update and try again');
}

async function exists(path: string): Promise<boolean> {
  return readdir(path).then(
    () => true,
    (cause: NodeJS.ErrnoException) => cause.code === 'ENOTDIR',
  );
}
