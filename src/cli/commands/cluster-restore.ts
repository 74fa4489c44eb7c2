import { type Command, Option } from 'commander'
import {
  type Address,
  BackupFolderError,
  type LinkOptions,
  PROFILES,
  type Profile,
  type RestoreProgress,
  type RestoreReport,
  restoreCluster,
  startCluster,
  verifyBackup,
} from '../../cluster/index.js'
import { loadConfig } from '../../config/index.js'
import { accessOf } from '../../connection/target.js'
import { InvalidOptionError } from '../../errors.js'
import { wholeNumber } from '../arguments.js'
import { type CommonOptions, runAction, withCommonOptions } from '../command.js'
import { count, seconds } from '../figures.js'
import { findNodes, seedsOf } from '../find-nodes.js'
import { dataDirOption, nodeOption, redisPathOption } from '../node-options.js'
import type { Output } from '../output.js'
import { ProgressLine } from '../progress-line.js'
import { type SecurityFlags, securityOptions, withSecurityOptions } from '../security-flags.js'

interface RestoreFlags extends CommonOptions, SecurityFlags {
  readonly from: string
  readonly node?: Address
  readonly dataDir?: string
  readonly masters?: number
  readonly replicasPerMaster?: number
  readonly basePort?: number
  readonly profile?: Profile
  readonly redisPath?: string
  readonly skipFunctions?: boolean
  readonly skipTaken?: boolean
}

export function registerClusterRestore(cluster: Command): void {
  const command = withCommonOptions(
    cluster
      .command('restore')
      .summary('restore a backup into an empty cluster of any number of masters')
      .description(
        'Copies every key of a backup to the master that serves its slot, with its exact time to live, and then compares each. ' +
          'The cluster has to be empty; with --masters a new one is made on this machine. Ended or killed at any moment, the ' +
          'same command goes on. Start workers when it is done, not before.',
      ),
  )
    .requiredOption('--from <dir>', 'the folder of the backup')
    .addOption(nodeOption())
    .addOption(dataDirOption('the data folder of a local cluster'))
    .option('--masters <n>', 'make a new local cluster of so many masters, at least 3', wholeNumber(1))
    .option('--replicas-per-master <n>', 'of the new cluster (default: 1)', wholeNumber(0))
    .option('--base-port <port>', 'of the new cluster (default: 7000)', wholeNumber(1))
    .addOption(new Option('--profile <name>', 'of the new cluster (default: queue)').choices(PROFILES))
    .addOption(redisPathOption())
    .option('--skip-functions', 'leave out libraries of functions (FUNCTION LOAD)')
    .option(
      '--skip-taken',
      'leave out keys that have a name which the restore needs itself, and are not from shardq',
    )
  withSecurityOptions(command)
    .addHelpText(
      'after',
      `
A backup has neither password nor certificates: a new cluster gets what is asked for here, as by \`cluster up\`.
Exit codes: 0 every key is there; 1 not, and it says why; 2 wrong usage.

Examples:
  $ shardq cluster restore --from /var/backups/monday --node 10.0.0.5:7000
  $ shardq cluster restore --from /var/backups/monday --masters 5 --data-dir ./restored
  $ shardq cluster restore --from /var/backups/monday --masters 3 --data-dir ./restored --tls --password
  $ shardq cluster restore --from /var/backups/monday --json | jq .keys`,
    )
    .action((flags: RestoreFlags) => runAction(flags, clusterRestore))
}

async function clusterRestore(flags: RestoreFlags, output: Output, signal: AbortSignal): Promise<void> {
  refuseIdle(flags)
  const { seeds, access } =
    flags.masters === undefined ? seedsOf(await findNodes(flags)) : await makeNew(flags, output, signal)
  const line = new ProgressLine(output)
  const report = await restoreCluster(flags.from, seeds, {
    ...access,
    signal,
    ...(flags.redisPath === undefined ? {} : { redisPath: flags.redisPath }),
    ...(flags.skipFunctions === undefined ? {} : { skipFunctions: flags.skipFunctions }),
    ...(flags.skipTaken === undefined ? {} : { skipTaken: flags.skipTaken }),
    onProgress: (progress) => print(progress, line, output),
  }).finally(() => line.clear())
  const { manifest, ...rest } = report
  output.document({ ...rest, backup: manifest.id, takenAt: manifest.endedAt })
  printReport(report, output)
  if (flags.skipFunctions)
    output.line(
      'Libraries of functions were left out, as asked: whoever calls one needs it on each master (FUNCTION LOAD).',
    )
}

/** A cluster that is there keeps what it has; whoever asks for TLS is not to believe that it got any. */
function refuseIdle(flags: RestoreFlags): void {
  if (flags.masters !== undefined) return
  const asked = {
    '--password': flags.password,
    '--password-file': flags.passwordFile,
    '--tls': flags.tls,
    '--tls-dir': flags.tlsDir,
    '--tls-auth-clients': flags.tlsAuthClients,
  }
  const [idle] = Object.entries(asked).find(([, value]) => value !== undefined) ?? []
  if (idle !== undefined) throw new InvalidOptionError(idle, 'it is for a new cluster, made with --masters')
}

/** The backup is looked at first: for one that is damaged no cluster is made. */
async function makeNew(
  flags: RestoreFlags,
  output: Output,
  signal: AbortSignal,
): Promise<{ seeds: readonly Address[]; access: LinkOptions }> {
  const { folder, faults } = await verifyBackup(flags.from, { load: false, signal })
  if (faults.length > 0) throw new BackupFolderError(folder, faults)
  const { dataDir, masters, replicasPerMaster, basePort, profile, redisPath } = flags
  const given = { dataDir, masters, replicasPerMaster, basePort, profile, redisPath }
  const options = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
  const configured = flags.config === undefined ? undefined : accessOf((await loadConfig(flags.config)).redis)
  const security = await securityOptions(flags, configured?.password)
  const cluster = await startCluster({ ...options, ...security, signal })
  const { nodes, outcome, passwordFile, tlsDir } = cluster
  output.line(`cluster ${outcome}: ${nodes.map(({ host, port }) => `${host}:${port}`).join(', ')}`)
  if (passwordFile) output.line(`Password: the first line of ${passwordFile}`)
  if (tlsDir) output.line(`TLS alone, with the certificates in ${tlsDir}`)
  return { seeds: cluster.seeds, access: cluster.access }
}

function print(progress: RestoreProgress, line: ProgressLine, output: Output): void {
  const text = textOf(progress, output)
  if ('of' in progress) line.show(text)
  else line.done(text)
}

function textOf(progress: RestoreProgress, { colors }: Output): string {
  switch (progress.state) {
    case 'checked': {
      const { shards, endedAt } = progress.manifest
      const keys = shards.reduce((sum, shard) => sum + shard.keys, 0)
      return `a backup of ${endedAt}: ${shards.length} files, ${count(keys)} keys`
    }
    case 'resumed':
      return `a restore that was begun ${progress.begunAt} goes on`
    case 'looking':
    case 'copying':
    case 'comparing': {
      const { state, file, keys, of } = progress
      return `${file}: ${state} ${count(keys)} of ${count(of)} keys`
    }
    case 'restored': {
      const { file, keys, found, expired, leftOut, skipped, copyMs, compareMs } = progress.file
      const beside = [
        ...(found > 0 ? [`${count(found)} were there`] : []),
        ...(expired > 0 ? [`${count(expired)} have expired`] : []),
        ...skipped.map((name) => `${name} left out, as asked: the restore needs that name`),
        ...leftOut.map((name) => `${name} left out: a note of the cluster that was backed up`),
      ]
      return (
        `${colors.green('✓')} ${file}: ${count(keys)} keys, each compared` +
        `${beside.length > 0 ? ` (${beside.join(', ')})` : ''}; copied in ${copyMs} ms, compared in ${compareMs} ms`
      )
    }
  }
}

function printReport({ keys, expired, masters, ms }: RestoreReport, output: Output): void {
  output.line(
    output.colors.green(`✅ restored: ${count(keys)} keys on ${masters} masters`) +
      `${expired > 0 ? `, ${count(expired)} had expired` : ''}, in ${seconds(ms)}`,
  )
  output.line('Tasks that were active are given out again when their lease is over. Now workers may start;')
  output.line('look before with: shardq cluster check, and: shardq queue stats')
}
