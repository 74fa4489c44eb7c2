import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Access } from '../../connection/target.js'
import type { Manifest } from '../data-dir.js'
import { DataDirError } from '../errors.js'
import { CERTIFICATE_FILES } from './certificates.js'

/** The password of the nodes, on one line, mode 0600: where it lies besides each node's redis.conf. */
export const PASSWORD_FILE = 'password'
/** The certificates that `up` has made by itself. */
export const OWN_TLS_DIR = 'tls'

/** How the nodes of a cluster are secured: all that their redis.conf needs beyond the manifest. */
export interface Security {
  /** `requirepass`, and `masterauth` on every node, for any of them may become a replica. */
  readonly password?: string
  /** For clients, replication and cluster bus alike; there is no way to have it for a part of them. */
  readonly tls?: NodeTls
}

export interface NodeTls {
  /** Absolute path of the folder with the certificates. */
  readonly dir: string
  /** Whether clients have to show a certificate (`tls-auth-clients`). */
  readonly authClients: boolean
}

/** How the cluster of a data folder is secured. @throws DataDirError when the password cannot be read */
export function securityOf(dataDir: string, { tls }: Pick<Manifest, 'tls'>): Security {
  const password = readPassword(dataDir)
  return {
    ...(password === undefined ? {} : { password }),
    ...(tls === undefined ? {} : { tls: { ...tls, dir: resolve(dataDir, tls.dir) } }),
  }
}

/**
 * What a client needs for nodes that are so secured, the certificate of the `client` among it where they want one.
 * @throws DataDirError naming the file that cannot be read
 */
export function accessTo(dataDir: string, { password, tls }: Security): Access {
  return {
    ...(password === undefined ? {} : { password }),
    ...(tls === undefined ? {} : { tls: readClientTls(dataDir, tls) }),
  }
}

/**
 * The one place where it is found out how to talk to the cluster of a data folder.
 * @throws DataDirError when a file of it cannot be read
 */
export const localAccess = (dataDir: string, manifest: Pick<Manifest, 'tls'>): Access =>
  accessTo(dataDir, securityOf(dataDir, manifest))

function readPassword(dataDir: string): string | undefined {
  try {
    const [password] = readFileSync(join(dataDir, PASSWORD_FILE), 'utf8').split(/\r?\n/)
    return password || undefined
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw unreadable(dataDir, PASSWORD_FILE, error)
  }
}

function readClientTls(dataDir: string, { dir, authClients }: NodeTls): NonNullable<Access['tls']> {
  const read = (name: string) => {
    try {
      return readFileSync(join(dir, name), 'utf8')
    } catch (error) {
      throw unreadable(dataDir, join(dir, name), error)
    }
  }
  const { ca, client } = CERTIFICATE_FILES
  return {
    ca: read(ca.certificate),
    ...(authClients ? { cert: read(client.certificate), key: read(client.key) } : {}),
  }
}

function unreadable(dataDir: string, file: string, cause: unknown): DataDirError {
  const problem = `cannot read ${file} (${(cause as NodeJS.ErrnoException).code}), and its nodes are not to be reached without`
  return new DataDirError(dataDir, `${problem}; put it back`, { cause })
}
