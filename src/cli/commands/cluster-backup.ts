import type { Command } from 'commander'
import {
  type Address,
  type BackupProgress,
  type BackupReport,
  backupCluster,
  nameOf,
  type VerifyReport,
  verifyBackup,
} from '../../cluster/index.js'
import { countIn } from '../../cluster/slots.js'
import { InvalidOptionError } from '../../errors.js'
import { PlainTable } from '../../plain-table.js'
import { shellWord } from '../../shell.js'
import { wholeNumber } from '../arguments.js'
import { type CommonOptions, runAction, withCommonOptions } from '../command.js'
import { bytes, count } from '../figures.js'
import { findNodes, seedsOf } from '../find-nodes.js'
import { dataDirOption, nodeOption, redisPathOption } from '../node-options.js'
import type { Output } from '../output.js'
import { ProgressLine } from '../progress-line.js'

interface BackupFlags extends CommonOptions {
  readonly to?: string
  readonly node?: Address
  readonly dataDir?: string
  readonly waitMs?: number
}

interface VerifyFlags extends CommonOptions {
  readonly load: boolean
  readonly redisPath?: string
}

export function registerClusterBackup(cluster: Command): void {
  const backup = withCommonOptions(
    cluster
      .command('backup')
      .summary('back a cluster up into a folder, or verify a backup')
      .description(
        'Takes one snapshot of each master that serves slots, over the connection, as a replica would, and keeps them only if ' +
          'each came whole and nobody else served its slots meanwhile. Changes nothing in the cluster; works under load. ' +
          'The snapshots are of about one moment, not of exactly one: what that means is told in docs/backup.md.',
      ),
  )
    .option('--to <dir>', 'a new folder, or an empty one')
    .addOption(nodeOption())
    .addOption(dataDirOption())
    .option('--wait-ms <ms>', 'longest wait for a cluster that is not sound (default: 10000)', wholeNumber(0))
    .addHelpText(
      'after',
      `
Exit codes: 0 there is a backup; 1 there is none, or one that may not survive a loss of power, and it says why; 2 wrong usage. Ctrl-C ends it, and leaves nothing.

Examples:
  $ shardq cluster backup --to /var/backups/monday
  $ shardq cluster backup --node 10.0.0.5:7000 --to /var/backups/monday --json | jq .shards
  $ shardq cluster backup verify /var/backups/monday`,
    )
    .action((flags: BackupFlags) => runAction(flags, clusterBackup))
  registerVerify(backup)
}

function registerVerify(backup: Command): void {
  withCommonOptions(
    backup
      .command('verify <dir>')
      .summary('whether a backup is whole: files, checksums, every key')
      .description(
        'Reads every file of a backup: size, SHA-256, the checksum of the RDB itself, and that each slot is in one of them. Then ' +
          'has a server of its own read each, and looks whether it has as many keys as were backed up, each of a slot of its file.',
      ),
  )
    .option('--no-load', 'leave out the server: only files and checksums')
    .addOption(redisPathOption())
    .addHelpText(
      'after',
      `
Exit codes: 0 it can be restored; 1 it cannot, and it says what is wrong; 2 wrong usage.

Examples:
  $ shardq cluster backup verify /var/backups/monday
  $ shardq cluster backup verify /var/backups/monday --no-load --json`,
    )
    // Options that \`backup\` has as well are given to it, wherever they stand.
    .action((dir: string, _: VerifyFlags, command: Command) =>
      runAction(command.optsWithGlobals<VerifyFlags>(), (flags, output, signal) =>
        verify(dir, flags, output, signal),
      ),
    )
}

async function clusterBackup(flags: BackupFlags, output: Output, signal: AbortSignal): Promise<void> {
  if (flags.to === undefined)
    throw new InvalidOptionError('--to', 'where to? a folder that is new or empty: --to DIR')
  const { seeds, access } = seedsOf(await findNodes(flags))
  const line = new ProgressLine(output)
  const report = await backupCluster(seeds, flags.to, {
    ...access,
    signal,
    ...(flags.waitMs === undefined ? {} : { agreeMs: flags.waitMs }),
    onProgress: printer(line),
  }).finally(() => line.clear())
  output.document({ folder: report.folder, ms: report.ms, tries: report.tries, ...report.manifest })
  printBackup(report, output)
}

function printer(line: ProgressLine): (progress: BackupProgress) => void {
  const received = new Map<string, number>()
  return (progress) => {
    if (progress.state === 'again') line.done(`once more: ${progress.why}`)
    if (progress.state === 'receiving') {
      received.set(progress.node, progress.bytes)
      const sum = [...received.values()].reduce((total, each) => total + each, 0)
      line.show(`${bytes(sum)} received from ${received.size} masters`)
    }
  }
}

function printBackup({ folder, manifest, ms }: BackupReport, output: Output): void {
  const table = new PlainTable(['master', 'slots', 'keys', 'with TTL', 'bytes', 'file'], {
    right: [1, 2, 3, 4],
  })
  const { shards, warnings, server, epoch } = manifest
  for (const { node, slots, keys, expiring, bytes: size, file } of shards) {
    table.push([nameOf(node), countIn(slots), count(keys), count(expiring), bytes(size), file])
  }
  output.lines(table.lines())
  for (const warning of warnings) output.line(output.colors.yellow(`⚠ ${warning}`))
  const total = shards.reduce((sum, { keys }) => sum + keys, 0)
  output.line(
    output.colors.green(`✅ ${count(total)} keys of ${server.flavour} ${server.version}, `) +
      `epoch ${epoch.before} before and after, in ${(ms / 1000).toFixed(2)} s: ${folder}`,
  )
  output.line(`Verify it with: shardq cluster backup verify ${shellWord(folder)}`)
}

async function verify(dir: string, flags: VerifyFlags, output: Output, signal: AbortSignal): Promise<void> {
  const report = await verifyBackup(dir, {
    load: flags.load,
    signal,
    ...(flags.redisPath === undefined ? {} : { redisPath: flags.redisPath }),
    onFile: ({ file, keys, expired, leftOut }) =>
      output.line(
        `${output.colors.green('✓')} ${file}: ${count(keys)} keys` +
          (expired > 0 ? `, and ${count(expired)} whose time is over` : '') +
          (leftOut.length > 0
            ? ` (of them a note of that cluster itself, which is not restored: ${leftOut.join(', ')})`
            : ''),
      ),
  })
  const { folder, faults, files, manifest } = report
  output.document({
    ok: faults.length === 0,
    folder,
    id: manifest.id,
    endedAt: manifest.endedAt,
    faults,
    files,
  })
  printVerdict(report, flags.load, output)
  process.exitCode = faults.length === 0 ? 0 : 1
}

function printVerdict({ faults, manifest, folder }: VerifyReport, loaded: boolean, output: Output): void {
  const { colors } = output
  for (const fault of faults) output.line(`${colors.red('✗')} ${fault}`)
  if (faults.length > 0) output.line(colors.red(`❌ ${folder} cannot be restored`))
  else
    output.line(
      colors.green(`✅ ${folder}: whole`) +
        `, of ${manifest.endedAt}, ${manifest.shards.length} files, every slot in one of them` +
        (loaded ? '' : '; no server has read it'),
    )
}
