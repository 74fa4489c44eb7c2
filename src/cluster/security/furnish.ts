import { writeFile } from 'node:fs/promises'
import { isAbsolute, join, relative, resolve } from 'node:path'
import { InvalidOptionError } from '../../errors.js'
import type { Manifest } from '../data-dir.js'
import { DataDirError } from '../errors.js'
import { isThere } from '../is-there.js'
import type { UpOptions } from '../up-options.js'
import { OWN_TLS_DIR, PASSWORD_FILE, securityOf } from './access.js'
import { askedPassword } from './asked.js'
import { makeCertificates } from './certificates.js'
import { checkGiven } from './given.js'
import { generatePassword } from './password.js'

/**
 * Looks whether a new cluster can have what it is to be secured with; makes nothing.
 * @throws InvalidOptionError for certificates that will not do
 * @throws DataDirError when the folder has a password or certificates, but no cluster that they would be of
 */
export async function checkFurnishable(dataDir: string, { tls }: Manifest): Promise<void> {
  for (const name of [PASSWORD_FILE, OWN_TLS_DIR]) {
    if (await isThere(join(dataDir, name))) {
      const problem = `${name} is there already, but not from a cluster of ours; move it away, or choose another --data-dir`
      throw new DataDirError(dataDir, problem)
    }
  }
  if (tls === undefined || tls.dir === OWN_TLS_DIR) return
  const dir = resolve(dataDir, tls.dir)
  const inside = relative(dataDir, dir)
  // With the cluster's data they would be removed.
  if (!inside.startsWith('..') && !isAbsolute(inside)) {
    throw new InvalidOptionError('tls.dir', `${dir} is in the data folder; keep certificates outside of it`)
  }
  await checkGiven({ ...tls, dir }, 'tls.dir')
}

/** Puts the password into the data folder, and makes certificates there unless they are given. */
export async function furnish(dataDir: string, manifest: Manifest, options: UpOptions): Promise<void> {
  const asked = askedPassword(options)
  if (asked !== undefined) {
    const file = join(dataDir, PASSWORD_FILE)
    const password = asked === true ? generatePassword() : asked
    await writeFile(file, `${password}\n`, { mode: 0o600, flag: 'wx' })
    options.onStep?.({ step: 'password', file })
  }
  if (manifest.tls?.dir === OWN_TLS_DIR) {
    const { dir } = await makeCertificates({ to: join(dataDir, OWN_TLS_DIR) })
    options.onStep?.({ step: 'certificates', path: dir })
  }
}

/** @throws DataDirError when the cluster in the folder has another password than is asked for, or none */
export function checkSamePassword(dataDir: string, manifest: Manifest, options: UpOptions): void {
  const asked = askedPassword(options)
  const { password } = securityOf(dataDir, manifest)
  if (asked === undefined || asked === password || (asked === true && password !== undefined)) return
  throw new DataDirError(
    dataDir,
    `the cluster here has ${password === undefined ? 'no password' : 'another password'}; leave the option out, choose ` +
      'another --data-dir, or remove the cluster and its data with --clean',
  )
}
