import { type Command, Option } from 'commander'
import { LOOPBACK_HOSTS, PROFILES, type Profile, startCluster, type UpStep } from '../../cluster/index.js'
import { loadConfig } from '../../config/index.js'
import { InvalidOptionError } from '../../errors.js'
import { shellWord } from '../../shell.js'
import { wholeNumber } from '../arguments.js'
import { type CommonOptions, runAction, withCommonOptions } from '../command.js'
import { seconds } from '../figures.js'
import { dataStays } from '../left-report.js'
import { dataDirOption, redisPathOption } from '../node-options.js'
import type { Output } from '../output.js'
import { type SecurityFlags, securityOptions, withSecurityOptions } from '../security-flags.js'

interface UpFlags extends CommonOptions, SecurityFlags {
  readonly basePort?: number
  readonly masters?: number
  readonly replicasPerMaster?: number
  readonly dataDir?: string
  readonly redisPath?: string
  readonly profile?: Profile
  readonly clean?: boolean
}

export function registerClusterUp(cluster: Command): void {
  const command = withCommonOptions(
    cluster
      .command('up')
      .summary('bring the local cluster up and wait until it is ready')
      .description(
        'Brings the local cluster up, whatever state it is in, and returns when it is ready: every node agrees, ' +
          'every replica is linked, each shard has taken a write. Creates it where there is none; starts it again ' +
          'on its old data after a stop or a crash; changes nothing where it runs.',
      ),
  )
    .option(
      '--base-port <port>',
      'first port; each node also takes its port + 10000 (default: 7000)',
      wholeNumber(1),
    )
    .option('--masters <n>', 'masters, at least 3 (default: 3)', wholeNumber(1))
    .option('--replicas-per-master <n>', 'replicas of each master (default: 1)', wholeNumber(0))
    .addOption(dataDirOption('where the nodes keep their data'))
    .addOption(redisPathOption())
    .addOption(
      new Option(
        '--profile <name>',
        'queue: a full shard refuses tasks and the others serve on while one fails over (default); ' +
          "guide: the guide's settings to the letter",
      ).choices(PROFILES),
    )
    .option('--clean', 'first end the cluster in the data folder and remove all of its data')
  withSecurityOptions(command)
    .addHelpText(
      'after',
      `
Examples:
  $ shardq cluster up                                   3 masters and 3 replicas on 7000-7005
  $ shardq cluster up --clean                           the same, new and empty
  $ shardq cluster up --base-port 8000 --masters 4      8 nodes on 8000-8007
  $ shardq cluster up --redis-path /opt/redis/bin       with the server of that folder
  $ shardq cluster up --password --tls                  a new one that nobody else can read or enter
  $ shardq cluster up --password-file /run/secrets/redis
  $ shardq cluster up --json | jq '.nodes[].port'`,
    )
    .action((flags: UpFlags) => runAction(flags, clusterUp))
}

async function clusterUp(flags: UpFlags, output: Output, signal: AbortSignal): Promise<void> {
  const { basePort, masters, replicasPerMaster, dataDir, redisPath, profile, clean } = flags
  const described = flags.config === undefined ? undefined : await describedBy(flags.config)
  const cluster = await startCluster({
    ...(described && { basePort: described.basePort }),
    ...(basePort === undefined ? {} : { basePort }),
    ...(masters === undefined ? {} : { masters }),
    ...(replicasPerMaster === undefined ? {} : { replicasPerMaster }),
    ...(dataDir === undefined ? {} : { dataDir }),
    ...(redisPath === undefined ? {} : { redisPath }),
    ...(profile === undefined ? {} : { profile }),
    ...(clean === undefined ? {} : { clean }),
    ...(await securityOptions(flags, described?.password)),
    signal,
    onStep: stepPrinter(output),
  })
  output.document({
    outcome: cluster.outcome,
    dataDir: cluster.dataDir,
    profile: cluster.profile,
    readyMs: cluster.readyMs,
    nodes: cluster.nodes,
    passwordFile: cluster.passwordFile,
    tlsDir: cluster.tlsDir,
  })
  const { colors } = output
  const outcome = {
    created: 'created',
    restarted: 'started again, with its data',
    running: 'running already; nothing was changed',
  }
  output.line()
  output.title(`✅ Cluster ${outcome[cluster.outcome]} (${seconds(cluster.readyMs)})`)
  output.line()
  output.line('Connection Endpoints:')
  cluster.nodes.forEach(({ host, port, role, masterPort }, index) => {
    const name =
      role === 'master' ? `(${colors.green('MASTER')})` : `(${colors.cyan('REPLICA')}) of ${masterPort}`
    output.line(`  Node ${index + 1}: ${host}:${port} ${name}`)
  })
  output.line()
  output.line(
    'All on this machine: for development, tests and drills. Nothing here survives the loss of the machine.',
  )
  output.line(`Data: ${cluster.dataDir}`)
  const { passwordFile, tlsDir } = cluster
  if (passwordFile) output.line(`Password: the first line of ${passwordFile}`)
  if (tlsDir) output.line(`TLS alone, with the certificates in ${tlsDir}`)
  if (passwordFile || tlsDir) output.line('Other shardq commands find both by the data folder.')
  output.line(
    `Stop it with: shardq cluster stop${flags.dataDir ? ` --data-dir ${shellWord(flags.dataDir)}` : ''}`,
  )
}

/** The lowest port of a configuration that describes a cluster on this machine, and the password that it has. */
async function describedBy(config: string): Promise<{ basePort: number; password: string | undefined }> {
  const { redis } = await loadConfig(config)
  if (redis.mode !== 'cluster')
    throw new InvalidOptionError('--config', `${config} has redis.mode single, not cluster`)
  const elsewhere = redis.nodes.find(({ host }) => !LOOPBACK_HOSTS.includes(host))
  if (elsewhere) {
    throw new InvalidOptionError(
      '--config',
      `${config} names ${elsewhere.host}; \`up\` starts nodes on 127.0.0.1 alone`,
    )
  }
  return { basePort: Math.min(...redis.nodes.map(({ port }) => port)), password: redis.password }
}

/** Prints each step in the words of the guide, with a heading before the first step of a kind. */
function stepPrinter(output: Output): (step: UpStep) => void {
  let last: UpStep['step'] | null = null
  const master = new Map<number, number>()
  const apart = (text: string) => output.lines(['', text])
  const heading = (text: string, step: UpStep) => {
    if (step.step !== last) apart(text)
  }
  return (step) => {
    if (last === null) output.title('Redis Cluster')
    switch (step.step) {
      case 'install':
        apart(`📦 No Redis server here; installing one, as by: ${step.command}`)
        break
      case 'server':
        apart(`✅ ${step.flavour} ${step.version} found at: ${step.path}`)
        break
      case 'folder':
        heading('📁 Creating data directories...', step)
        output.line(`  ✅ Created: ${step.path}`)
        break
      case 'password':
        apart(`🔑 Password: the first line of ${step.file}`)
        break
      case 'certificates':
        apart(`🔒 Certificates: ${step.path}`)
        break
      case 'config':
        heading('⚙️  Creating configuration files...', step)
        output.line(`  ✅ Created config: ${step.path}`)
        break
      case 'started':
        heading('🚀 Starting Redis nodes...', step)
        output.line(`  ✅ Started node on port ${step.port} (PID: ${step.pid})`)
        break
      case 'slots':
        heading('🔗 Creating Redis Cluster...', step)
        master.set(step.port, master.size)
        output.line(`  Master[${master.get(step.port)}] -> Slots ${step.first} - ${step.last}`)
        break
      case 'moved':
        apart(
          step.isCopy
            ? `📁 This is a copy of ${step.from}: it runs on its own data here, on the same ports, so never beside that one`
            : `📁 It was ${step.from} before; its configuration now names this folder`,
        )
        break
      case 'forgotten':
        apart(`✗ The cluster has forgotten node ${step.port}: it is not started any more${dataStays(step)}`)
        break
      case 'running':
        apart(`✅ Every node runs already: ${step.ports.join(', ')}`)
        break
      case 'ready':
        if (last !== 'running')
          output.line('  ✅ Every node agrees, every replica is linked, every shard takes writes')
        break
      default:
        step satisfies never
    }
    last = step.step
  }
}
