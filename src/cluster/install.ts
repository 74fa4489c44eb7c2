import { execFile } from 'node:child_process'
import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { ServerInstallError } from './errors.js'

const run = promisify(execFile)

type ManagerName = 'apt-get' | 'dnf' | 'apk' | 'brew' | 'pacman' | 'zypper'

/** Something that systems have a package of. */
export interface Wanted {
  /** As an error says it: "a Redis server". */
  readonly what: string
  /** By package manager: the names of the packages. Of several, the first that can be installed is enough. */
  readonly packages: Readonly<Record<ManagerName, readonly string[]>>
  /** Where to look on a system with none of them. */
  readonly elsewhere: string
}

export const SERVER: Wanted = {
  what: 'a Redis server',
  packages: {
    'apt-get': ['redis-server'],
    dnf: ['redis', 'valkey'], // newer Fedora and RHEL have Valkey alone
    apk: ['redis'],
    brew: ['redis'],
    pacman: ['valkey'],
    zypper: ['redis'],
  },
  elsewhere: 'see https://valkey.io/download',
}

interface PackageManager {
  readonly program: ManagerName
  /** What a person types, before the packages. */
  readonly command: string
  /** What we run as root before them, when it can be done without asking; absent: we only name the command. */
  readonly script?: string
  /** What is run as root before that. */
  readonly prelude?: string
  /** Homebrew refuses to run as root, everything else needs it. */
  readonly asUser?: boolean
}

/**
 * Debian starts a service when it installs one. We want the binary, not a server on its usual port, so for the time of
 * the install a policy says no, unless the system has a policy of its own. One broken mirror fails `update`, but
 * seldom the install; and a machine that has just booted may be busy with upgrades of its own, hence the lock.
 */
const APT = `set -e
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  trap 'exit 1' INT TERM
  printf '#!/bin/sh\\nexit 101\\n' > "$policy"
  chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update || true
`

/** In the order in which they are tried; a system has one of them, or one and Homebrew. */
const MANAGERS: readonly PackageManager[] = [
  {
    program: 'apt-get',
    command: 'sudo apt-get install',
    prelude: APT,
    script: 'apt-get install -y -o DPkg::Lock::Timeout=120 --no-install-recommends',
  },
  { program: 'dnf', command: 'sudo dnf install', script: 'dnf install -y' },
  { program: 'apk', command: 'apk add', script: 'apk add --no-cache' },
  { program: 'brew', command: 'brew install', script: 'brew install', asUser: true },
  { program: 'pacman', command: 'sudo pacman -S' },
  { program: 'zypper', command: 'sudo zypper install' },
]

/** The one command that installs it on this system; default: a server. */
export async function installCommand(
  env: NodeJS.ProcessEnv = process.env,
  wanted: Wanted = SERVER,
): Promise<string> {
  if (process.platform === 'win32') {
    return `wsl --install, and there: sudo apt-get install ${wanted.packages['apt-get'][0]}`
  }
  const manager = await packageManager(env)
  return manager ? alternatives(manager.command, manager, wanted) : wanted.elsewhere
}

/**
 * Installs the system's own package, if that can be done without asking anybody: as root, or with a sudo that
 * wants no password. Returns false, having done nothing, where it cannot.
 * @param onInstall called once, with the command, before anything is installed
 * @param wanted default: a server
 * @throws ServerInstallError where the package manager failed
 */
export async function installPackage(
  env: NodeJS.ProcessEnv,
  onInstall?: (command: string) => void,
  signal?: AbortSignal,
  wanted: Wanted = SERVER,
): Promise<boolean> {
  const manager = await packageManager(env)
  const prefix = manager && (await rootPrefix(manager, env))
  if (!manager?.script || !prefix) return false
  const command = alternatives(manager.command, manager, wanted)
  onInstall?.(command)
  const script = `${manager.prelude ?? ''}${alternatives(manager.script, manager, wanted)}`
  const [program = 'sh', ...args] = [...prefix, 'sh', '-c', script]
  try {
    await run(program, args, { env, ...(signal ? { signal } : {}), timeout: 10 * 60_000, maxBuffer: 1 << 26 })
    return true
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string }
    const output = `${stdout}\n${stderr}`.trim().split('\n').slice(-10).join('\n')
    throw new ServerInstallError(command, output, { cause: error, what: wanted.what })
  }
}

const alternatives = (command: string, { program }: PackageManager, { packages }: Wanted) =>
  packages[program].map((names) => `${command} ${names}`).join(' || ')

async function packageManager(env: NodeJS.ProcessEnv): Promise<PackageManager | null> {
  for (const manager of MANAGERS) if (await isOnPath(manager.program, env)) return manager
  return null
}

/** How to run something with the rights that the package manager needs; null when somebody would be asked. */
async function rootPrefix(manager: PackageManager, env: NodeJS.ProcessEnv): Promise<string[] | null> {
  const isRoot = process.getuid?.() === 0
  if (manager.asUser) return isRoot ? null : ['env']
  if (isRoot) return ['env']
  const asksNobody = await run('sudo', ['-n', 'true'], { env }).then(
    () => true,
    () => false,
  )
  return asksNobody ? ['sudo', '-n'] : null
}

async function isOnPath(program: string, env: NodeJS.ProcessEnv): Promise<boolean> {
  for (const folder of (env.PATH ?? '').split(delimiter)) {
    try {
      await access(join(folder, program), constants.X_OK)
      return true
    } catch {}
  }
  return false
}
