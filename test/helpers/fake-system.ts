import { chmod, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { tempDir } from './temp-dir.js'

export async function program(path: string, script: string): Promise<void> {
  await writeFile(path, `#!/bin/sh\n${script}\n`)
  await chmod(path, 0o755)
}

/** A PATH with a shell, a sudo that asks nobody, and a package manager of ours; nothing of the real system. */
export async function systemWith(apk: string | null): Promise<{ dir: string; env: NodeJS.ProcessEnv }> {
  const dir = await tempDir()
  await symlink('/bin/sh', join(dir, 'sh'))
  await symlink('/usr/bin/env', join(dir, 'env'))
  await program(join(dir, 'sudo'), 'shift; exec "$@"')
  if (apk !== null) await program(join(dir, 'apk'), apk)
  return { dir, env: { PATH: dir } }
}
