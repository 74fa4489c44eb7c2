import { type Command, Option } from 'commander'
import { compareUsers, setuserArgs } from '../../cluster/index.js'
import { InvalidOptionError } from '../../errors.js'
import { runAction } from '../command.js'
import { findNodes, seedsOf } from '../find-nodes.js'
import type { Output } from '../output.js'
import { accountsOf, type UsersFlags, WHO_HELP, type WhoFlags, withNodes, withWho } from '../users-flags.js'
import { renderComparison } from '../users-report.js'
import { registerUsersApply } from './cluster-users-apply.js'

interface PrintFlags extends WhoFlags {
  readonly format?: 'commands' | 'aclfile'
  readonly server?: string
}

export function registerClusterUsers(cluster: Command): void {
  const users = cluster
    .command('users')
    .summary('users with the rights that producers, workers, operators and metrics need')
    .description(
      'Users of the servers (ACL), each with the commands and keys that its role needs, and no others. Servers do not spread ' +
        'users from node to node: `apply` writes them to each, and `compare` looks whether they are the same.',
    )
  withWho(users.command('print').summary('print the rules, to read or to paste; asks no server'))
    .addOption(
      new Option('--format <form>', 'ACL SETUSER lines, or the lines of an aclfile')
        .choices(['commands', 'aclfile'])
        .default('commands'),
    )
    .option('--server <version>', 'version of the oldest server', '7.0')
    .addHelpText(
      'after',
      `${WHO_HELP}

Where a password belongs, it has HASH: printf %s "$PASSWORD" | sha256sum

Examples:
  $ shardq cluster users print
  $ shardq cluster users print --user team-a=producer,worker --queue backtests --format aclfile`,
    )
    .action((flags: PrintFlags) => runAction(flags, usersPrint))

  registerUsersApply(users)
  withNodes(
    withWho(
      users.command('compare').summary('look whether all nodes have the same users, with the right rights'),
    ),
  )
    .addHelpText(
      'after',
      `${WHO_HELP}

Exit codes: 0 the same on all nodes, and as the roles need; 1 not so, or a node does not answer; 2 wrong usage.

Examples:
  $ shardq cluster users compare
  $ shardq cluster users compare --user team-a=producer,worker --queue backtests
  $ shardq cluster users compare --json | jq '.users[] | select(.differs != [])'`,
    )
    .action((flags: UsersFlags) => runAction(flags, usersCompare))
}

async function usersPrint(flags: PrintFlags, output: Output): Promise<void> {
  const { format, server = '7.0' } = flags
  if (!/^\d+\.\d+/.test(server))
    throw new InvalidOptionError('--server', `expected a version such as 7.2, got ${server}`)
  const lines = accountsOf(flags).map((account) => {
    const [name = '', ...rules] = setuserArgs(account, server, 'HASH')
    const words = (format === 'aclfile' ? rules.filter((rule) => !TAKES_AWAY.includes(rule)) : rules).join(
      ' ',
    )
    return { user: name, line: `${format === 'aclfile' ? 'user' : 'ACL SETUSER'} ${name} ${words}` }
  })
  output.document({ users: lines })
  for (const { line } of lines) output.line(line)
}

/** Of what was there before, and in a file there is nothing before. */
const TAKES_AWAY = ['resetpass', 'resetkeys', 'clearselectors']

async function usersCompare(flags: UsersFlags, output: Output): Promise<void> {
  const { seeds, access } = seedsOf(await findNodes(flags))
  const accounts = flags.user ? accountsOf(flags) : []
  const comparison = await compareUsers(seeds, { ...access, accounts })
  output.document(comparison)
  output.lines(renderComparison(comparison, output.colors))
  process.exitCode = comparison.ok ? 0 : 1
}
