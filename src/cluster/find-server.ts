import { execFile } from 'node:child_process'
import { constants } from 'node:fs'
import { access, stat } from 'node:fs/promises'
import { delimiter, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { InvalidOptionError, ServerTooOldError } from '../errors.js'
import { ServerNotFoundError } from './errors.js'
import { installCommand, installPackage } from './install.js'
import { isNewEnough, type ServerVersion } from './version.js'

const run = promisify(execFile)

export interface RedisServer extends ServerVersion {
  /** Absolute path of the binary. */
  readonly path: string
}

export interface FindOptions {
  /** A server binary, or a folder that holds one. Default: SHARDQ_REDIS_PATH, then the folders of PATH. */
  readonly redisPath?: string
  readonly env?: NodeJS.ProcessEnv
}

const NAMES = ['redis-server', 'valkey-server']

/**
 * Finds a server that is new enough.
 * @throws ServerNotFoundError when there is none, with the command that installs one
 * @throws ServerTooOldError when there are only older ones
 * @throws InvalidOptionError when the named path does not exist or is not a server
 */
export async function findServer({ redisPath, env = process.env }: FindOptions = {}): Promise<RedisServer> {
  const named = redisPath ?? (env.SHARDQ_REDIS_PATH || undefined)
  const option = redisPath === undefined ? 'SHARDQ_REDIS_PATH' : '--redis-path'
  const candidates = named === undefined ? await serversOnPath(env) : await serversAt(resolve(named), option)

  let tooOld: ServerTooOldError | null = null
  for (const path of candidates) {
    const server = await readVersion(path)
    if (server === null) {
      if (named !== undefined) throw new InvalidOptionError(option, `${path} is not a Redis or Valkey server`)
      continue
    }
    if (isNewEnough(server)) return server
    tooOld ??= new ServerTooOldError(path, `${server.flavour} ${server.version}`)
  }
  throw tooOld ?? new ServerNotFoundError([named ?? 'PATH'], await installCommand(env))
}

export interface EnsureOptions extends FindOptions {
  /** Called once, with the command, before something is installed. */
  readonly onInstall?: (command: string) => void
  readonly signal?: AbortSignal
}

/**
 * Finds a server as `findServer` does; where there is none at all, installs the system's own package if that
 * can be done without asking anybody. A path named by the caller that is wrong is never answered with an install.
 * @throws ServerNotFoundError where it cannot be installed without asking
 * @throws ServerInstallError where the package manager failed
 */
export async function ensureServer(options: EnsureOptions = {}): Promise<RedisServer> {
  try {
    return await findServer(options)
  } catch (error) {
    if (!(error instanceof ServerNotFoundError)) throw error
    const installed = await installPackage(options.env ?? process.env, options.onInstall, options.signal)
    if (!installed) throw error
    return findServer(options)
  }
}

async function serversOnPath(env: NodeJS.ProcessEnv): Promise<string[]> {
  const folders = (env.PATH ?? env.Path ?? '').split(delimiter).filter((folder) => folder !== '')
  const paths = NAMES.flatMap((name) => folders.map((folder) => join(folder, name)))
  return existing(withSuffix(paths))
}

async function serversAt(path: string, option: string): Promise<string[]> {
  const entry = await stat(path).catch(() => null)
  if (entry === null) throw new InvalidOptionError(option, `${path} does not exist`)
  if (!entry.isDirectory()) return [path]
  // An installation's own folder is accepted too: the binaries are then in bin, or in src after `make`.
  const paths = ['', 'bin', 'src'].flatMap((inner) => NAMES.map((name) => join(path, inner, name)))
  const found = await existing(withSuffix(paths))
  if (found.length === 0) {
    throw new InvalidOptionError(option, `${path} holds neither ${NAMES.join(' nor ')}`)
  }
  return found
}

const withSuffix = (paths: string[]) =>
  process.platform === 'win32' ? paths.flatMap((path) => [`${path}.exe`, path]) : paths

async function existing(paths: string[]): Promise<string[]> {
  const found = await Promise.all(
    paths.map(async (path) => {
      const runnable = await access(path, constants.X_OK).then(
        () => true,
        () => false,
      )
      return runnable && (await stat(path)).isFile()
    }),
  )
  return paths.filter((_, index) => found[index])
}

/** Null when the file does not answer `--version` as a Redis or Valkey server does. */
async function readVersion(path: string): Promise<RedisServer | null> {
  try {
    const { stdout } = await run(path, ['--version'], { timeout: 5000 })
    const match = /^(Redis|Valkey) server v=(\d+\.\d+\.\d+)/.exec(stdout)
    return match ? { path, flavour: match[1] as RedisServer['flavour'], version: match[2] ?? '' } : null
  } catch {
    return null
  }
}
