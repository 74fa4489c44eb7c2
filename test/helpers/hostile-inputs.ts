import { mkdir, mkdtemp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { nameOf } from '../../src/cluster/index.js'
import { INVOCATIONS, type Invocation, type Runner, type Scene } from './hostile-commands.js'
import { hostileManifest, writeManifest } from './hostile-manifest.js'
import { HOSTILE } from './hostile-names.js'
import { faultsIn } from './hostile-output.js'
import { remedyFaultsOf } from './hostile-remedies.js'
import { lyingCluster, type Mood, queueNameFrom } from './lying-cluster.js'

/** All of the corpus at once. */
export const MIXED = Object.values(HOSTILE)
  .filter((text) => text.length < 1_000)
  .join('')

const VIEW = ['CLUSTER INFO', 'CLUSTER NODES', 'INFO'] as const
const CONFIGURED = ['a configuration', 'the environment'] as const
const CHECKED = [
  'ACL LIST',
  'CLUSTER COUNTKEYSINSLOT',
  'CONFIG GET',
  'FUNCTION LIST',
  'HMGET',
  'TIME',
] as const
const LOCKED = ['CLIENT LIST', 'CLIENT SETNAME', 'EVAL', 'HGETALL', 'WAIT'] as const
const MOVED = ['CLUSTER COUNTKEYSINSLOT', 'CLUSTER SETSLOT', 'DBSIZE', 'MIGRATE'] as const
const GIVEN = [
  ...['ACL CAT', 'ACL LIST', 'ACL SETUSER', 'CONFIG GET', 'CONFIG REWRITE', 'CONFIG SET'],
  ...['FUNCTION LIST', 'FUNCTION LOAD'],
] as const
const CONNECTED = ['CLIENT SETNAME', 'CLUSTER NODES', 'INFO', 'HGET', ...CONFIGURED] as const
const QUEUE = [...CONNECTED, 'EVALSHA', 'SISMEMBER'] as const

/**
 * What each command reads, and was fed with: what it asks servers, files, the environment. Options and arguments are those that
 * commander knows: test/regressions/long/hostile-words.test.ts.
 */
export const INPUTS: Readonly<Record<string, readonly string[]>> = {
  'cluster up': ['INFO', 'a configuration', 'cluster.json'],
  'cluster create': [...CONFIGURED],
  'cluster stop': ['a configuration', 'cluster.json'],
  'cluster status': [...VIEW, ...CONNECTED, 'EVALSHA_RO', 'SMEMBERS', 'cluster.json'],
  'cluster check': [...VIEW, ...CHECKED, ...CONFIGURED, 'cluster.json'],
  'cluster fix': [...VIEW, ...CONFIGURED, ...MOVED, 'HGETALL'],
  'cluster add-node': [...VIEW, ...CONFIGURED, ...GIVEN, ...LOCKED, 'CLUSTER MEET', 'cluster.json'],
  'cluster remove-node': [...VIEW, ...CONFIGURED, 'CLUSTER FORGET', 'FUNCTION LIST', 'cluster.json'],
  'cluster rebalance': [...VIEW, ...CONFIGURED, ...MOVED, ...LOCKED, 'CLUSTER BUMPEPOCH', 'FUNCTION LIST'],
  'cluster drill': [
    ...VIEW,
    ...CONFIGURED,
    'CLUSTER COUNTKEYSINSLOT',
    'CONFIG GET',
    'SHUTDOWN',
    'cluster.json',
  ],
  'cluster certificates': [],
  'cluster users print': [],
  'cluster users apply': [
    ...VIEW,
    ...CONFIGURED,
    ...LOCKED,
    'ACL CAT',
    'ACL LIST',
    'ACL SETUSER',
    'CONFIG GET',
  ],
  'cluster users compare': [...VIEW, ...CONFIGURED, 'ACL CAT', 'ACL LIST'],
  'cluster firewall': ['CLUSTER INFO', 'CLUSTER NODES', ...CONFIGURED],
  'cluster rolling-restart': [...VIEW, ...CONFIGURED, 'CLUSTER FAILOVER', 'GET', 'cluster.json'],
  'cluster backup': [...VIEW, ...CONFIGURED, 'EVAL', 'GET', 'TYPE'],
  'cluster backup verify': ['backup.json'],
  'cluster restore': [...CONFIGURED, 'backup.json'],
  'queue list': [...CONNECTED, 'EVALSHA_RO', 'SMEMBERS'],
  'queue stats': [...CONNECTED, 'EVALSHA_RO', 'SMEMBERS'],
  'queue peek': QUEUE,
  'queue pause': QUEUE,
  'queue resume': QUEUE,
  'queue dead list': QUEUE,
  'queue dead retry': QUEUE,
  'queue dead purge': QUEUE,
  'queue delete': QUEUE,
  'queue verify': [...QUEUE, 'CLUSTER COUNTKEYSINSLOT', 'CLUSTER GETKEYSINSLOT'],
  demo: [],
  doctor: [...VIEW, ...CHECKED, ...CONFIGURED, 'cluster.json'],
  bench: [...CONFIGURED, 'cluster.json'],
  metrics: [...CONFIGURED],
}

/** These wait for a cluster that does not become what they wait for, look twice, or make keys: too slow for `npm test`. */
export const WAITING: readonly string[] = [
  ...[
    'cluster check',
    'cluster fix',
    'cluster add-node',
    'cluster rebalance',
    'cluster drill',
    'cluster certificates',
  ],
  ...['cluster rolling-restart', 'cluster backup', 'doctor'],
]

const MADE = "hx \u001b]0;x\u0007\u202e$(touch PWNED)'"

export interface Fed {
  /** Inputs that were read, as they stand in the table: what servers were asked, files, the environment. */
  readonly inputs: ReadonlySet<string>
  readonly faults: readonly string[]
}

/** Runs one command in every form against a cluster whose every text is hostile. */
export async function feedServers(
  name: string,
  runners: readonly Runner[],
  cwd: string,
  {
    text = MIXED,
    most = Number.POSITIVE_INFINITY,
    ...mood
  }: Mood & { readonly text?: string; readonly most?: number } = {},
): Promise<Fed> {
  const cluster = await lyingCluster(text, mood)
  const [node] = cluster.nodes.map(nameOf)
  const folder = join(await mkdtemp(join(cwd, 'run-')), MADE)
  const dataDir = join(folder, 'data')
  await mkdir(dataDir, { recursive: true })
  const ports = cluster.nodes.map(({ port }) => port)
  await writeFile(
    join(dataDir, 'cluster.json'),
    JSON.stringify({
      version: 1,
      ports,
      masters: 3,
      replicasPerMaster: 1,
      profile: text,
      settings: { [text]: text },
      redisPath: text,
    }),
  )
  const backup = await hostileBackup(folder, text)
  const scene: Scene = {
    node: node ?? '',
    newcomer: nameOf(cluster.newcomer),
    queue: queueNameFrom(text),
    oddQueue: HOSTILE['a command in a shell'],
    folder: join(folder, 'empty'),
    backup,
    dataDir,
  }
  await mkdir(scene.folder)
  const faults: string[] = []
  for (const invocation of (INVOCATIONS[name]?.(scene) ?? []).slice(0, most))
    faults.push(...(await run(name, invocation, runners, cwd)).faults)
  return { inputs: cluster.asked, faults }
}

/** The same with what lies on the disk, or stands in the environment: each of it is so wrong that whoever reads it says so. */
export async function feedFiles(name: string, runners: readonly Runner[], cwd: string): Promise<Fed> {
  const folder = join(await mkdtemp(join(cwd, 'run-')), MADE)
  const [dataDir, backup] = [join(folder, 'data'), join(folder, 'backup')]
  await mkdir(dataDir, { recursive: true })
  await mkdir(backup)
  await writeFile(join(dataDir, 'cluster.json'), MIXED)
  await writeFile(join(backup, 'backup.json'), MIXED)
  const config = join(folder, 'hx.yaml')
  const redis = { mode: 'cluster', nodes: [{ host: MIXED, port: MIXED }], [MIXED]: MIXED }
  await writeFile(config, JSON.stringify({ redis }))
  const scene = { node: '127.0.0.1:1', queue: 'q', oddQueue: 'q', folder: dataDir, backup, dataDir }
  const ways = INVOCATIONS[name]?.(scene) ?? []
  const inputs = new Set<string>()
  const faults: string[] = []
  const feed = async (
    fed: readonly Invocation[],
    said: Readonly<Record<string, RegExp>>,
    env: NodeJS.ProcessEnv = {},
  ) => {
    for (const invocation of fed) {
      const ended = await run(name, invocation, runners, cwd, env)
      for (const [input, words] of Object.entries(said)) if (words.test(ended.text)) inputs.add(input)
      faults.push(...ended.faults)
    }
  }
  const ofFolder = ways.filter(({ args }) => args.some((word) => word.startsWith(folder)))
  await feed(ofFolder, { 'cluster.json': /cluster\.json is damaged/, 'backup.json': /backup\.json/ })
  // Whoever is told a node needs no address of theirs.
  const configured = name === 'doctor' ? [{ args: [] }] : ways.slice(0, 1)
  await feed(
    configured.map(({ args, ...rest }) => ({ ...rest, args: [...args, '--config', config] })),
    { 'a configuration': /redis\.nodes/ },
  )
  // biome-ignore lint/suspicious/noTemplateCurlyInString: a shell would fill it in
  const env = { SHARDQ_REDIS_URL: 'redis://hx$(touch${IFS}PWNED);touch:1' }
  await feed(configured, { 'the environment': /SHARDQ_REDIS_URL/ }, env)
  return { inputs, faults }
}

async function run(
  name: string,
  invocation: Invocation,
  runners: readonly Runner[],
  cwd: string,
  env: NodeJS.ProcessEnv = {},
): Promise<{ readonly text: string; readonly faults: readonly string[] }> {
  const all = await Promise.all(
    runners.map(async (runner) => {
      const ended = await runner.run(name, invocation, { cwd, env })
      const faults = [...faultsIn(ended, runner.form), ...remedyFaultsOf(ended, runner.form)]
      const shown = `${name} ${invocation.args.join(' ')}`
      return {
        text: ended.stdout + ended.stderr,
        faults: faults.map((fault) => `${shown.slice(0, 200)} (${runner.form}): ${fault.slice(0, 500)}`),
      }
    }),
  )
  return { text: all.map(({ text }) => text).join('\n'), faults: all.flatMap(({ faults }) => faults) }
}

/** @returns its folder */
async function hostileBackup(folder: string, text: string): Promise<string> {
  const backup = join(folder, 'backup')
  await mkdir(backup)
  await writeManifest(backup, JSON.stringify(hostileManifest(text)))
  return backup
}
