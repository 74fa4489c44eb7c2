/**
 * Finds a Valkey server, for the tests that need one beside Redis: upgrades, and the behaviour suite. Where there is none, Debian's
 * is fetched into `.shardq/valkey`. Needs no build: it runs through tsx, as the tests do.
 */
import { execFile } from 'node:child_process'
import { delimiter, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { findServer, type RedisServer } from '../src/cluster/find-server.js'
import { isRunnable, reasonOf } from './debian-packages.js'
import { type FetchOptions, fetchServer, serverIn, type TrixieServer } from './trixie-server.js'

const run = promisify(execFile)

const CACHE = fileURLToPath(new URL('../.shardq/valkey', import.meta.url))
const SERVER: TrixieServer = { program: 'valkey-server', packages: ['valkey-server', 'valkey-tools'] }
const BY_HAND =
  'install Valkey 8 or later (https://valkey.io/download) and set SHARDQ_VALKEY_PATH to its valkey-server'

export interface EnsureValkeyOptions extends FetchOptions {
  /** Where what was fetched is kept. Default `.shardq/valkey` of this repository. */
  readonly cache?: string
}

/**
 * SHARDQ_VALKEY_PATH, then `valkey-server` of PATH, then what was fetched before, then a fetch.
 * @throws Error where there is none and none can be fetched, with what to do
 */
export async function ensureValkey(options: EnsureValkeyOptions = {}): Promise<RedisServer> {
  const { env = process.env, cache = CACHE } = options
  const named = env.SHARDQ_VALKEY_PATH || (await firstRunnable(onPath(env)))
  if (named) return valkeyAt(named)
  const fetched = serverIn(cache, SERVER)
  if (!(await isRunnable(fetched))) {
    try {
      await fetchServer(SERVER, cache, options)
    } catch (error) {
      throw new Error(`no Valkey server here, and ${reasonOf(error)}; ${BY_HAND}`, { cause: error })
    }
  }
  return valkeyAt(fetched)
}

async function valkeyAt(path: string): Promise<RedisServer> {
  const server = await findServer({ redisPath: path }).catch(async (error: Error) => {
    // A library that it misses is named on stderr, and nothing else tells that from a file that is no server.
    const { stderr = '' } = await run(path, ['--version']).catch((failure) => failure as { stderr?: string })
    throw new Error(`${error.message}${stderr && ` (${stderr.trim()})`}; ${BY_HAND}`, { cause: error })
  })
  if (server.flavour === 'Valkey') return server
  throw new Error(`${path} is ${server.flavour} ${server.version}; ${BY_HAND}`)
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
