/**
 * From a fresh clone to something that runs: the npm packages, a build, a Redis server. Each is left alone when
 * it is there and up to date, so that running this again costs a moment.
 */
import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build } from './build.mjs'
import { node, npm, root, step } from './steps.mjs'

export async function setup() {
  const [major = 0] = process.versions.node.split('.').map(Number)
  if (major < 20) {
    console.error(`shardq needs Node >= 20, and this is ${process.version}; see https://nodejs.org`)
    process.exit(1)
  }
  if (packagesAreStale()) await step('install the npm packages', () => npm('ci'))
  if (buildIsStale()) await step('build', build)
  await step('find a Redis server', ensureServer)
}

async function ensureServer() {
  const { ensureServer } = await import(pathToFileURL(join(root, 'dist/cluster/index.js')).href)
  const server = await ensureServer({
    onInstall: (command) => console.log(`  no Redis server here; installing one, as by: ${command}`),
  })
  console.log(`  ${server.flavour} ${server.version} at ${server.path}`)
}

/** Only what runs tests needs it: demo and bench do not. Where there is none, the tests that need it say so. */
export async function findPrometheus() {
  await step('find Prometheus', () => {
    try {
      node('--import', 'tsx', 'scripts/find-prometheus.ts')
    } catch {
      console.log('  the tests that need it will fail')
    }
  })
}

/** npm writes node_modules/.package-lock.json when it is done; older than the lock file means out of date. */
function packagesAreStale() {
  const installed = join(root, 'node_modules/.package-lock.json')
  return !existsSync(installed) || changed(installed) < changed(join(root, 'package-lock.json'))
}

/** A build is stale when any source, or what decides how sources are compiled, is newer than it. */
function buildIsStale() {
  const marker = join(root, 'dist/demo/sp500-2000.csv') // the last thing that a build writes
  if (!existsSync(marker)) return true
  const sources = readdirSync(join(root, 'src'), { recursive: true }).map((name) => join(root, 'src', name))
  const settings = ['package-lock.json', 'tsconfig.json', 'tsconfig.build.json', 'scripts/build.mjs']
  const inputs = [...sources, ...settings.map((name) => join(root, name))]
  return inputs.some((path) => changed(path) > changed(marker))
}

const changed = (path) => statSync(path).mtimeMs

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await setup()
