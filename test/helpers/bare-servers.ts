import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { type Address, ensureServer, freePorts, type Settings } from '../../src/cluster/index.js'
import { discardProcess, startNode } from '../../src/cluster/node.js'
import { CONFIG_FILE, clusterNodeConfig } from '../../src/cluster/node-config.js'
import { processStamp } from '../../src/cluster/processes.js'
import { accessTo } from '../../src/cluster/security/access.js'

export interface BareOptions {
  readonly settings?: Settings
  /** Default: the server that `ensureServer` finds. */
  readonly redisPath?: string
  readonly password?: string
  /** A folder of certificates, as `cluster certificates` makes it: speaks TLS and nothing else, and wants one of clients. */
  readonly tlsDir?: string
  /** More lines for each redis.conf: `masterauth ...`, `user operator on ...`. */
  readonly lines?: readonly string[]
}

export interface BareServers {
  readonly nodes: readonly Address[]
  /** Has a folder `node_PORT` for each, with its redis.conf and redis.pid. */
  readonly folder: string
  dispose(): Promise<void>
}

/** Servers of this machine that could be nodes of a cluster, and are of none; ended when the test finishes. */
export async function bareServers(count: number, options: BareOptions = {}): Promise<Address[]> {
  const { nodes, dispose } = await openBareServers(count, options)
  onTestFinished(dispose)
  return [...nodes]
}

/** As `bareServers`, for use in `beforeAll`: the caller disposes of them in `afterAll`. */
export async function openBareServers(
  count: number,
  { settings = {}, redisPath, password, tlsDir, lines = [] }: BareOptions = {},
): Promise<BareServers> {
  const which = redisPath === undefined ? {} : { redisPath }
  const [server, ports] = await Promise.all([ensureServer(which), freePorts(count)])
  const folder = await mkdtemp(join(tmpdir(), 'shardq-bare-'))
  const tls = tlsDir === undefined ? {} : { tls: { dir: tlsDir, authClients: true } }
  const access = accessTo(folder, { ...tls, ...(password === undefined ? {} : { password }) })
  // Without masterauth, as somebody forgets it who sets a password by hand.
  const own = [...(password === undefined ? [] : [`requirepass ${password}`]), ...lines]
  const places = ports.map((port) => ({ port, dir: join(folder, `node_${port}`), access }))
  const dispose = async () => {
    for (const { dir } of places) await endServerOf(dir)
    await rm(folder, { recursive: true, force: true })
  }
  try {
    await Promise.all(
      places.map(async (place) => {
        const { port, dir } = place
        await mkdir(dir)
        const config = clusterNodeConfig({ port, dir, profile: 'queue', settings, security: tls })
        await writeFile(join(dir, CONFIG_FILE), config + own.map((line) => `${line}\n`).join(''))
        await startNode(server, place)
      }),
    )
  } catch (error) {
    await dispose()
    throw error
  }
  return { nodes: ports.map((port) => ({ host: '127.0.0.1', port })), folder, dispose }
}

/** Whichever it is by now: a test may have restarted it. */
async function endServerOf(dir: string): Promise<void> {
  const recorded = await readFile(join(dir, 'redis.pid'), 'utf8').catch(() => '')
  const pid = Number.parseInt(recorded, 10)
  const stamp = Number.isNaN(pid) ? null : await processStamp(pid)
  if (stamp !== null) await discardProcess({ pid, stamp })
}

/** For `sh -c` with a server binary and a folder: ends its server in good order and starts it again, as a service manager does. */
export const RESTART = `pid=$(head -1 "$2/redis.pid")
kill "$pid"
while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done
cd "$2" && "$1" "$2/redis.conf" >/dev/null 2>&1 &
echo $! > "$2/redis.pid"
`
