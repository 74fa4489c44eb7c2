/**
 * Finds a Valkey server, for the tests that need one beside Redis: upgrades, and the behaviour suite. Where there is none, Debian's
 * package is fetched into `.shardq/valkey` and unpacked there; nothing of the system is changed, neither its packages nor its
 * sources. Needs no build: it runs through tsx, as the tests do.
 */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { findServer, type RedisServer } from '../src/cluster/find-server.js'
import { isRunnable, ownSource, reasonOf, type SystemOptions, unpackPackages } from './debian-packages.js'

const run = promisify(execFile)

const CACHE = fileURLToPath(new URL('../.shardq/valkey', import.meta.url))
const PACKAGES = ['valkey-server', 'valkey-tools']
const BY_HAND =
  'install Valkey 8 or later (https://valkey.io/download) and set SHARDQ_VALKEY_PATH to its valkey-server'

export interface EnsureValkeyOptions extends SystemOptions {
  /** Where what was fetched is kept. Default `.shardq/valkey` of this repository. */
  readonly cache?: string
  /** Called once, before anything is fetched. */
  readonly onFetch?: (what: string) => void
}

/**
 * SHARDQ_VALKEY_PATH, then `valkey-server` of PATH, then what was fetched before, then a fetch.
 * @throws Error where there is none and none can be fetched, with what to do
 */
export async function ensureValkey(options: EnsureValkeyOptions = {}): Promise<RedisServer> {
  const { env = process.env, cache = CACHE } = options
  const named = env.SHARDQ_VALKEY_PATH || (await firstRunnable(onPath(env)))
  if (named) return valkeyAt(named)
  const fetched = serverIn(cache)
  if (!(await isRunnable(fetched))) {
    try {
      await fetchInto(cache, options)
    } catch (error) {
      throw new Error(`no Valkey server here, and ${reasonOf(error)}; ${BY_HAND}`, { cause: error })
    }
  }
  return valkeyAt(fetched)
}

const serverIn = (cache: string) => join(cache, 'usr', 'bin', 'valkey-server')

async function valkeyAt(path: string): Promise<RedisServer> {
  const server = await findServer({ redisPath: path }).catch(async (error: Error) => {
    // A library that it misses is named on stderr, and nothing else tells that from a file that is no server.
    const { stderr = '' } = await run(path, ['--version']).catch((failure) => failure as { stderr?: string })
    throw new Error(`${error.message}${stderr && ` (${stderr.trim()})`}; ${BY_HAND}`, { cause: error })
  })
  if (server.flavour === 'Valkey') return server
  throw new Error(`${path} is ${server.flavour} ${server.version}; ${BY_HAND}`)
}

/** Two at once do not meet: each renames what it has unpacked. */
async function fetchInto(cache: string, options: EnsureValkeyOptions): Promise<void> {
  const { env = process.env, onFetch } = options
  const own = await ownSource(options)
  // Newer ones have it in the release itself.
  const source = own.suite === 'bookworm' ? { ...own, suite: `${own.suite}-backports` } : own
  onFetch?.(`${PACKAGES.join(' and ')} of ${source.suite}`)
  const parent = join(cache, '..')
  await mkdir(parent, { recursive: true })
  const unpacked = await mkdtemp(join(parent, 'valkey-new-'))
  try {
    await unpackPackages(source, PACKAGES, unpacked, env)
    await install(unpacked, cache)
  } finally {
    await rm(unpacked, { recursive: true, force: true })
  }
}

/** Whoever has finished meanwhile is left alone: somebody may be running it. */
async function install(unpacked: string, cache: string): Promise<void> {
  try {
    await rename(unpacked, cache)
  } catch (error) {
    if (await isRunnable(serverIn(cache))) return
    if (!['ENOTEMPTY', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
    await rm(cache, { recursive: true, force: true })
    await rename(unpacked, cache)
  }
}

const onPath = ({ PATH = '' }: NodeJS.ProcessEnv) =>
  PATH.split(delimiter)
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, 'valkey-server'))

async function firstRunnable(paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) if (await isRunnable(path)) return path
  return undefined
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  try {
    const { version, path } = await ensureValkey({
      onFetch: (what) => console.log(`  no Valkey here; fetching ${what} into .shardq/valkey`),
    })
    console.log(`  Valkey ${version} at ${path}`)
  } catch (error) {
    console.error(`  ${(error as Error).message}`)
    process.exitCode = 1
  }
}
