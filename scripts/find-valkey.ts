/**
 * Finds a Valkey server, for the tests that need one beside Redis: upgrades, and the behaviour suite. Where there is none, Debian's
 * package is fetched into `.shardq/valkey` and unpacked there; nothing of the system is changed, neither its packages nor its
 * sources. Needs no build: it runs through tsx, as the tests do.
 */
import { execFile } from 'node:child_process'
import { constants } from 'node:fs'
import { access, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { findServer, type RedisServer } from '../src/cluster/find-server.js'

const run = promisify(execFile)

const CACHE = fileURLToPath(new URL('../.shardq/valkey', import.meta.url))
const PACKAGES = ['valkey-server', 'valkey-tools']
/** Debian's key for its own archive; the package of that name has it on every Debian. */
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'
const FETCH_MS = 120_000
const BY_HAND =
  'install Valkey 8 or later (https://valkey.io/download) and set SHARDQ_VALKEY_PATH to its valkey-server'

export interface EnsureValkeyOptions {
  readonly env?: NodeJS.ProcessEnv
  /** Where what was fetched is kept. Default `.shardq/valkey` of this repository. */
  readonly cache?: string
  /** Which system this is. Default `/etc/os-release`. */
  readonly osRelease?: string
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

/** By Debian's own tools, with sources, lists and cache of our own. Two at once do not meet: each renames what it has unpacked. */
async function fetchInto(cache: string, options: EnsureValkeyOptions): Promise<void> {
  const { env = process.env, onFetch } = options
  const source = await debianSource(options)
  onFetch?.(`${PACKAGES.join(' and ')} of ${source.suite}`)
  const folder = await mkdtemp(join(tmpdir(), 'shardq-valkey-'))
  const parent = join(cache, '..')
  await mkdir(parent, { recursive: true })
  const unpacked = await mkdtemp(join(parent, 'valkey-new-'))
  try {
    const list = join(folder, 'sources.list')
    await writeFile(list, `deb [signed-by=${KEYRING}] ${source.uri} ${source.suite} main\n`)
    await mkdir(join(folder, 'lists', 'partial'), { recursive: true })
    const settings = {
      'Dir::Etc::SourceList': list,
      'Dir::Etc::SourceParts': '-',
      'Dir::State::Lists': join(folder, 'lists'),
      'Dir::Cache': join(folder, 'cache'),
      // As root, apt works as a user who may not enter a temporary folder of ours.
      'APT::Sandbox::User': 'root',
      'Acquire::Languages': 'none',
      'Acquire::http::Timeout': '20',
    }
    const apt = (...args: string[]) =>
      run(
        'apt-get',
        [...Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`]), ...args],
        {
          cwd: folder,
          env,
          timeout: FETCH_MS,
        },
      )
    // Without --error-on a mirror that does not answer is a warning, and the failure is another one later.
    await apt('-qq', '--error-on=any', 'update')
    await apt('-qq', 'download', ...PACKAGES)
    const { stdout } = await run('sh', ['-c', 'ls -- *.deb'], { cwd: folder, env })
    for (const file of stdout.trim().split('\n'))
      await run('dpkg', ['-x', join(folder, file), unpacked], { env, timeout: FETCH_MS })
    await install(unpacked, cache)
  } finally {
    await rm(unpacked, { recursive: true, force: true })
    await rm(folder, { recursive: true, force: true })
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

/** The archive from which this system has its own packages, and the part of it that has Valkey 8. */
async function debianSource({
  env = process.env,
  osRelease = '/etc/os-release',
}: EnsureValkeyOptions): Promise<{ uri: string; suite: string }> {
  const release = await readFile(osRelease, 'utf8').catch(() => '')
  const codename = /^VERSION_CODENAME=(\w+)$/m.exec(release)?.[1]
  if (!/^ID=debian$/m.test(release) || !codename)
    throw new Error('only Debian’s packages can be fetched, and this is another system')
  // Without release info: those count, too, whose lists nobody has downloaded yet.
  const format = [
    '--no-release-info',
    '--format',
    '$(REPO_URI) $(RELEASE) $(COMPONENT)',
    'Created-By: Packages',
  ]
  const { stdout } = await run('apt-get', ['indextargets', ...format], { env, timeout: FETCH_MS })
  const line = stdout.split('\n').find((each) => each.endsWith(` ${codename} main`))
  if (!line) throw new Error(`the system's sources name no archive for ${codename} main`)
  // Newer ones have it in the release itself.
  const suite = codename === 'bookworm' ? `${codename}-backports` : codename
  return { uri: line.split(' ')[0] as string, suite }
}

const reasonOf = (error: unknown) => {
  const { message, stderr } = error as Error & { stderr?: string }
  return `it could not be fetched (${(stderr || message).trim().split('\n').slice(-3).join(' ')})`
}

const onPath = ({ PATH = '' }: NodeJS.ProcessEnv) =>
  PATH.split(delimiter)
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, 'valkey-server'))

async function firstRunnable(paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) if (await isRunnable(path)) return path
  return undefined
}

const isRunnable = (path: string) =>
  access(path, constants.X_OK).then(
    () => true,
    () => false,
  )

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
