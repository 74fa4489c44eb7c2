import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { type Address, ensureServer, freePorts, type Settings } from '../../src/cluster/index.js'
import { discardProcess, startNode } from '../../src/cluster/node.js'
import { CONFIG_FILE, clusterNodeConfig } from '../../src/cluster/node-config.js'
import { accessTo } from '../../src/cluster/security/access.js'
import { tempDir } from './temp-dir.js'

export interface BareOptions {
  readonly settings?: Settings
  readonly password?: string
  /** A folder of certificates, as `cluster certificates` makes it: speaks TLS and nothing else, and wants one of clients. */
  readonly tlsDir?: string
  /** Lines of users (ACL) for each redis.conf: `user operator on ...`. */
  readonly users?: readonly string[]
}

/** Servers of this machine that could be nodes of a cluster, and are of none; ended when the test finishes. */
export async function bareServers(
  count: number,
  { settings = {}, password, tlsDir, users = [] }: BareOptions = {},
): Promise<Address[]> {
  const [server, folder, ports] = await Promise.all([ensureServer(), tempDir(), freePorts(count)])
  return Promise.all(
    ports.map(async (port) => {
      const dir = join(folder, `node_${port}`)
      await mkdir(dir)
      // Without masterauth, as somebody forgets it who sets a password by hand.
      const locked = password === undefined ? '' : `requirepass ${password}\n`
      const tls = tlsDir === undefined ? {} : { tls: { dir: tlsDir, authClients: true } }
      const config = clusterNodeConfig({ port, dir, profile: 'queue', settings, security: tls })
      await writeFile(join(dir, CONFIG_FILE), [config + locked, ...users].join('\n'))
      const access = accessTo(folder, { ...tls, ...(password === undefined ? {} : { password }) })
      const place = { port, dir, access }
      const process = await startNode(server, place)
      onTestFinished(async () => {
        await discardProcess(process)
        await rm(dir, { recursive: true, force: true })
      })
      return { host: '127.0.0.1', port }
    }),
  )
}
