import { readFile } from 'node:fs/promises'
import { type Command, Option } from 'commander'
import { localTarget, type UpOptions } from '../cluster/index.js'
import { passwordFrom } from '../config/index.js'
import { InvalidOptionError } from '../errors.js'

export interface SecurityFlags {
  readonly password?: boolean
  readonly passwordFile?: string
  readonly tls?: boolean
  readonly tlsDir?: string
  readonly tlsAuthClients?: 'yes' | 'no'
}

/** Adds what says how a new cluster is secured. None of it takes a secret: the list of processes shows what is typed. */
export function withSecurityOptions(command: Command): Command {
  return command
    .option('--password', 'have a password; made up, and kept in the data folder, unless one is given')
    .option(
      '--password-file <file>',
      'the password is the first line of this (default: SHARDQ_REDIS_PASSWORD)',
    )
    .option(
      '--tls',
      'speak TLS, and TLS alone; certificates are made in the data folder unless they are given',
    )
    .option('--tls-dir <dir>', 'the certificates, as `cluster certificates` makes them; implies --tls')
    .addOption(
      new Option('--tls-auth-clients <yes|no>', 'whether clients need a certificate (default: yes)').choices([
        ...['yes', 'no'],
      ]),
    )
}

/**
 * The password of the environment is for a cluster that is to be made; one that is there has its own.
 * @throws InvalidOptionError, ConfigError
 */
export async function securityOptions(
  flags: SecurityFlags & { readonly dataDir?: string; readonly clean?: boolean },
  configured: string | undefined,
): Promise<Pick<UpOptions, 'password' | 'tls'>> {
  const { tlsDir, tlsAuthClients } = flags
  const tls = flags.tls || tlsDir !== undefined
  if (tlsAuthClients !== undefined && !tls)
    throw new InvalidOptionError('--tls-auth-clients', 'says nothing without --tls')
  const password =
    flags.passwordFile === undefined
      ? ((await whereNew(flags, async () => configured ?? (await passwordFrom(process.env)))) ??
        flags.password)
      : await firstLineOf(flags.passwordFile)
  return {
    ...(password ? { password } : {}),
    ...(tls
      ? {
          tls: {
            ...(tlsDir === undefined ? {} : { dir: tlsDir }),
            ...(tlsAuthClients === undefined ? {} : { authClients: tlsAuthClients === 'yes' }),
          },
        }
      : {}),
  }
}

async function whereNew<T>(
  { dataDir, clean }: { readonly dataDir?: string; readonly clean?: boolean },
  read: () => Promise<T | undefined>,
): Promise<T | undefined> {
  return clean || (await localTarget(dataDir)) === null ? read() : undefined
}

async function firstLineOf(file: string): Promise<string> {
  const text = await readFile(file, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    throw new InvalidOptionError('--password-file', `cannot read ${file} (${cause.code})`, { cause })
  })
  const [password = ''] = text.split(/\r?\n/)
  if (password === '') throw new InvalidOptionError('--password-file', `the first line of ${file} is empty`)
  return password
}
