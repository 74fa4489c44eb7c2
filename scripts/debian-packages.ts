/**
 * Fetches packages of Debian for tests, by Debian's own tools and with its own keys, and unpacks them into a folder: nothing of the system
 * is changed, neither its packages nor its sources.
 */
import { execFile } from 'node:child_process'
import { access, constants, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Debian's key for its own archive; the package of that name has it on every Debian. */
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'
const FETCH_MS = 120_000

export interface SystemOptions {
  readonly env?: NodeJS.ProcessEnv
  /** Which system this is. Default `/etc/os-release`. */
  readonly osRelease?: string
}

export interface Source {
  readonly uri: string
  readonly suite: string
}

/** @param into an empty folder */
export async function unpackPackages(
  { uri, suite }: Source,
  packages: readonly string[],
  into: string,
  env: NodeJS.ProcessEnv,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'shardq-packages-'))
  try {
    const list = join(folder, 'sources.list')
    await writeFile(list, `deb [signed-by=${KEYRING}] ${uri} ${suite} main\n`)
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
    const flags = Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`])
    const apt = (...args: string[]) =>
      run('apt-get', [...flags, ...args], { cwd: folder, env, timeout: FETCH_MS })
    // Without --error-on a mirror that does not answer is a warning, and the failure is another one later.
    await apt('-qq', '--error-on=any', 'update')
    await apt('-qq', 'download', ...packages)
    const { stdout } = await run('sh', ['-c', 'ls -- *.deb'], { cwd: folder, env })
    for (const file of stdout.trim().split('\n'))
      await run('dpkg', ['-x', join(folder, file), into], { env, timeout: FETCH_MS })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** The archive from which this system has its own packages, and the name of its release. @throws on systems that are no Debian */
export async function ownSource({
  env = process.env,
  osRelease = '/etc/os-release',
}: SystemOptions): Promise<Source> {
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
  return { uri: line.split(' ')[0] as string, suite: codename }
}

export const reasonOf = (error: unknown) => {
  const { message, stderr } = error as Error & { stderr?: string }
  return `it could not be fetched (${(stderr || message).trim().split('\n').slice(-3).join(' ')})`
}

export const isRunnable = (path: string) =>
  access(path, constants.X_OK).then(
    () => true,
    () => false,
  )
