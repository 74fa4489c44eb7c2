import type { Command } from 'commander'
import {
  type Account,
  type Address,
  applyUsers,
  compareUsers,
  inventPassword,
  isLocal,
  keepPasswords,
  type LinkOptions,
  localTarget,
  parseAccount,
  planUsers,
  readPasswords,
  withEitherPassword,
} from '../../cluster/index.js'
import { InvalidOptionError } from '../../errors.js'
import { agree } from '../agree.js'
import { collect } from '../arguments.js'
import { runAction } from '../command.js'
import { findNodes, seedsOf } from '../find-nodes.js'
import { printLeft } from '../left-report.js'
import type { Output } from '../output.js'
import { accountsOf, type UsersFlags, WHO_HELP, withNodes, withWho } from '../users-flags.js'
import { renderApplied, renderPlan } from '../users-report.js'

interface ApplyFlags extends UsersFlags {
  readonly passwordFile?: readonly string[]
  readonly passwords?: string
  readonly replication?: boolean
  readonly disableDefault?: boolean
  readonly yes?: boolean
}

export function registerUsersApply(users: Command): void {
  withNodes(
    withWho(users.command('apply').summary('make them the same on every node, and have each node keep them')),
  )
    .option(
      '--password-file <name=file>',
      'a user’s password, on the first line of a file; may be repeated',
      collect,
    )
    .option(
      '--passwords <dir>',
      'a folder with NAME.password for each user; those that are missing are made there',
    )
    .option('--replication', 'also a user `replica`, as whom nodes log in to each other (masteruser)')
    .option('--disable-default', 'in the end, switch off the user that everybody is who names none')
    .option('--yes', 'do not ask')
    .addHelpText(
      'after',
      `${WHO_HELP}

Passwords come from a file, from SHARDQ_PASSWORD_NAME, or from the folder; a user that the nodes know keeps its own. They are
sent as hashes. A node that fails is named, and the others are done: run it again, also after a node has joined. The password that
a user had is valid until every node takes the new one. Who changes their own logs in with the old one, or the new one.
Exit codes: 0 every node has all of it and keeps it; 1 one does not, and it says why; 2 wrong usage.

Examples:
  $ shardq cluster users apply --passwords secrets
  $ shardq cluster users apply --user team-a=producer,worker --queue backtests --password-file team-a=/run/secrets/team-a
  $ shardq cluster users apply --passwords secrets --replication --disable-default --node 10.0.0.5:7000`,
    )
    .action((flags: ApplyFlags) => runAction(flags, usersApply))
}

async function usersApply(flags: ApplyFlags, output: Output, signal: AbortSignal): Promise<void> {
  const { seeds, access } = seedsOf(await findNodes(flags))
  if (flags.disableDefault) await refuseForLocal(flags, seeds)
  const accounts = [...accountsOf(flags), ...(flags.replication ? [parseAccount('replica')] : [])]
  const { passwords, invented } = await passwordsFor(flags, accounts, seeds, access)
  const plan = await planUsers(seeds, { ...access, accounts, passwords })
  output.lines(renderPlan(plan, output.colors))
  const nothing = plan.changes.every(({ change }) => change === 'none')
  if (!nothing || flags.disableDefault) {
    const why = 'it replaces the rights of users that programs may be using'
    await agree(flags, { what: 'applying users', why }, output, signal)
  }
  for (const file of invented.size > 0 ? await keepPasswords(flags.passwords ?? '', invented) : [])
    output.line(`  password written to ${file}`)
  const report = await applyUsers(seeds, {
    ...access,
    accounts,
    passwords,
    signal,
    ...(flags.yes ? {} : { agreed: plan.changes }),
    onUnlocked: ({ message }) => output.line(`${output.colors.red('!')} going on without a lock: ${message}`),
    disableDefault: flags.disableDefault ?? false,
  })
  output.document(report)
  output.lines(renderApplied(report, output.colors))
  printLeft(report.left, output)
  process.exitCode = report.ok && report.left.length === 0 ? 0 : 1
}

/** `up` and `stop` of the data folder log in as the default user. */
async function refuseForLocal({ dataDir }: UsersFlags, seeds: readonly Address[]): Promise<void> {
  const local = await localTarget(dataDir)
  if (local && seeds.some((seed) => isLocal([seed], local)))
    throw new InvalidOptionError(
      '--disable-default',
      '`cluster up` and `cluster stop` log in to a cluster of a data folder as the default user; give that one a password instead',
    )
}

/** New passwords only for users that no node knows: those that are in use stay what they are. */
async function passwordsFor(
  { passwordFile = [], passwords: folder }: ApplyFlags,
  accounts: readonly Account[],
  seeds: readonly Address[],
  access: LinkOptions,
): Promise<{ passwords: Map<string, string>; invented: Map<string, string> }> {
  const files = new Map(
    passwordFile.map((text) => {
      const [name, file] = [text.slice(0, text.indexOf('=')), text.slice(text.indexOf('=') + 1)]
      if (!text.includes('=') || file === '')
        throw new InvalidOptionError('--password-file', `expected NAME=FILE, got ${text}`)
      return [name, file] as const
    }),
  )
  const passwords = await readPasswords(accounts, { files, ...(folder === undefined ? {} : { folder }) })
  const invented = new Map<string, string>()
  if (folder !== undefined) {
    const known = new Set(
      (await compareUsers(seeds, withEitherPassword({ ...access, passwords }))).users.map(({ user }) => user),
    )
    for (const { name } of accounts)
      if (!passwords.has(name) && !known.has(name)) invented.set(name, inventPassword())
  }
  return { passwords: new Map([...passwords, ...invented]), invented }
}
