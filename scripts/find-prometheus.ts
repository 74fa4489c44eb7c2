/**
 * Finds Prometheus and Alertmanager with their tools, for the tests of deploy/; where there are none, installs the system's own
 * packages if that can be done without asking anybody. Needs no build: it runs through tsx, as the tests do.
 */
import { execFile } from 'node:child_process'
import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { installCommand, installPackage, type Wanted } from '../src/cluster/install.js'

const run = promisify(execFile)

/** Absolute paths of the programs. */
export interface Monitoring {
  readonly prometheus: string
  readonly promtool: string
  readonly alertmanager: string
  readonly amtool: string
}

/** Debian calls Alertmanager by another name than everybody else. */
const NAMES: Readonly<Record<keyof Monitoring, readonly string[]>> = {
  prometheus: ['prometheus'],
  promtool: ['promtool'],
  alertmanager: ['alertmanager', 'prometheus-alertmanager'],
  amtool: ['amtool'],
}

const PACKAGES: Wanted = {
  what: 'Prometheus and Alertmanager',
  packages: {
    'apt-get': ['prometheus prometheus-alertmanager'],
    dnf: ['golang-github-prometheus golang-github-prometheus-alertmanager'],
    apk: ['prometheus alertmanager'],
    brew: ['prometheus alertmanager'],
    pacman: ['prometheus alertmanager'],
    zypper: ['golang-github-prometheus-prometheus golang-github-prometheus-alertmanager'],
  },
  elsewhere: 'see https://prometheus.io/download',
}

export interface EnsureMonitoringOptions {
  readonly env?: NodeJS.ProcessEnv
  /** Called once, with the command, before something is installed. */
  readonly onInstall?: (command: string) => void
}

/**
 * @throws Error where one of them is missing and cannot be installed without asking, with the command that installs it
 * @throws ServerInstallError where the package manager failed
 */
export async function ensureMonitoring(options: EnsureMonitoringOptions = {}): Promise<Monitoring> {
  const { env = process.env, onInstall } = options
  const before = await find(env)
  if (before.missing.length === 0) return before.found as Monitoring
  await installPackage(env, onInstall, undefined, PACKAGES)
  const after = await find(env)
  if (after.missing.length === 0) return after.found as Monitoring
  throw new Error(
    `the tests of deploy/ need ${after.missing.join(' and ')}, which is not on PATH; ` +
      `install it: ${await installCommand(env, PACKAGES)}`,
  )
}

async function find(env: NodeJS.ProcessEnv): Promise<{ found: Partial<Monitoring>; missing: string[] }> {
  const folders = (env.PATH ?? '').split(delimiter).filter((folder) => folder !== '')
  const found: Record<string, string> = {}
  const missing: string[] = []
  for (const [program, names] of Object.entries(NAMES)) {
    const path = await firstRunnable(folders.flatMap((folder) => names.map((name) => join(folder, name))))
    if (path === undefined) missing.push(program)
    else found[program] = path
  }
  return { found, missing }
}

async function firstRunnable(paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) {
    try {
      await access(path, constants.X_OK)
      return path
    } catch {}
  }
  return undefined
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  try {
    const { prometheus } = await ensureMonitoring({
      onInstall: (command) => console.log(`  no Prometheus here; installing it, as by: ${command}`),
    })
    const { stdout, stderr } = await run(prometheus, ['--version'])
    console.log(`  ${/version \S+/.exec(stdout + stderr)?.[0] ?? 'of unknown version'} at ${prometheus}`)
  } catch (error) {
    console.error(`  ${(error as Error).message}`)
    process.exitCode = 1
  }
}
