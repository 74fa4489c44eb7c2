/**
 * Fetches a server of Debian's trixie for tests: newer than what the system may have, so with the libraries that it was built for, and
 * run by the loader of these.
 */
import { chmod, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { isRunnable, ownSource, type SystemOptions, unpackPackages } from './debian-packages.js'

const SUITE = 'trixie'
/** What Debian's Redis and Valkey are linked with, and what that is linked with. */
const LIBRARIES = [
  ...['libc6', 'libgcc-s1', 'libstdc++6', 'libatomic1', 'zlib1g', 'libjemalloc2', 'liblzf1', 'libssl3t64'],
  ...['libsystemd0', 'libcap2', 'liblzma5', 'libzstd1', 'liblz4-1', 'libgcrypt20', 'libgpg-error0'],
  'libhiredis1.1.0',
]
const FOLDER = 'usr/lib/x86_64-linux-gnu'

export interface TrixieServer {
  /** As in `/usr/bin`. */
  readonly program: string
  readonly packages: readonly string[]
}

export interface FetchOptions extends SystemOptions {
  /** Called once, before anything is fetched. */
  readonly onFetch?: (what: string) => void
}

/** Where `cache` has the server, once it was fetched. */
export const serverIn = (cache: string, { program }: TrixieServer) => join(cache, program)

/** Two at once do not meet: each renames what it has unpacked. */
export async function fetchServer(server: TrixieServer, cache: string, options: FetchOptions): Promise<void> {
  const { env = process.env, onFetch } = options
  const { uri } = await ownSource(options)
  onFetch?.(`${server.packages.join(' and ')} of ${SUITE}`)
  const parent = join(cache, '..')
  await mkdir(parent, { recursive: true })
  const unpacked = await mkdtemp(join(parent, `${basename(cache)}-new-`))
  try {
    await unpackPackages({ uri, suite: SUITE }, [...server.packages, ...LIBRARIES], unpacked, env)
    await writeStarter(unpacked, server)
    await install(unpacked, cache, server)
  } finally {
    await rm(unpacked, { recursive: true, force: true })
  }
}

/**
 * What starts it. It finds all beside itself, wherever that is: the folder gets its name when it is whole. The server has to think that
 * it is this script (`--argv0`): it tells what its executable is, and whoever restarts it starts that.
 */
async function writeStarter(folder: string, server: TrixieServer): Promise<void> {
  const script = serverIn(folder, server)
  await writeFile(
    script,
    `#!/bin/sh
me=$(readlink -f "$0")
at=$(dirname "$me")
exec "$at/${FOLDER}/ld-linux-x86-64.so.2" --argv0 "$me" --library-path "$at/${FOLDER}" "$at/usr/bin/${server.program}" "$@"
`,
  )
  await chmod(script, 0o755)
}

/** Whoever has finished meanwhile is left alone: somebody may be running it. */
async function install(unpacked: string, cache: string, server: TrixieServer): Promise<void> {
  try {
    await rename(unpacked, cache)
  } catch (error) {
    if (await isRunnable(serverIn(cache, server))) return
    if (!['ENOTEMPTY', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
    await rm(cache, { recursive: true, force: true })
    await rename(unpacked, cache)
  }
}
