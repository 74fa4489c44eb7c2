import type { Command } from 'commander'
import { makeCertificates } from '../../cluster/index.js'
import { collect, wholeNumber } from '../arguments.js'
import { type CommonOptions, runAction, withCommonOptions } from '../command.js'
import type { Output } from '../output.js'

interface CertificatesFlags extends CommonOptions {
  readonly to: string
  readonly host?: readonly string[]
  readonly days?: number
  readonly ca?: string
}

export function registerClusterCertificates(cluster: Command): void {
  withCommonOptions(
    cluster
      .command('certificates')
      .summary('make certificates for TLS, for development')
      .description(
        'Makes an authority, and signed by it one certificate for all nodes and one for clients, in files that nobody else ' +
          'can read. Writes nothing over. For production, take those of your own authority, under the same names.',
      ),
  )
    .requiredOption('--to <dir>', 'where they go: ca, node and client, each as .crt and .key')
    .option(
      '--host <name>',
      'a name or address of nodes, besides 127.0.0.1, ::1 and localhost; may be repeated',
      collect,
    )
    .option('--days <n>', 'how long those of nodes and clients hold (default: 365)', wholeNumber(1))
    .option('--ca <dir>', 'sign by the authority that was made there, so that clients need no other')
    .addHelpText(
      'after',
      `
ca.key signs whatever its owner wants, and no server and no client needs it: keep it elsewhere, or remove it.

Examples:
  $ shardq cluster certificates --to tls
  $ shardq cluster certificates --to tls --host redis-1.internal --host 10.0.0.5
  $ shardq cluster certificates --to tls-next-year --ca tls
  $ shardq cluster up --tls-dir tls`,
    )
    .action((flags: CertificatesFlags) => runAction(flags, clusterCertificates))
}

async function clusterCertificates(flags: CertificatesFlags, output: Output): Promise<void> {
  const { to, host, days, ca } = flags
  const made = await makeCertificates({
    to,
    ...(host === undefined ? {} : { hosts: host }),
    ...(days === undefined ? {} : { days }),
    ...(ca === undefined ? {} : { ca }),
  })
  output.document(made)
  output.line(`✅ ${made.files.join(', ')} in ${made.dir}`)
  output.line(`For ${made.hosts.join(', ')}, until ${new Date(made.endsMs).toISOString().slice(0, 10)}`)
}
