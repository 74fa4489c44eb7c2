import type { Command } from 'commander'
import { type Account, type Address, parseAccount, usualAccounts } from '../cluster/index.js'
import { ROLES } from '../rights/roles.js'
import { collect } from './arguments.js'
import { type CommonOptions, withCommonOptions } from './command.js'
import { dataDirOption, nodeOption } from './node-options.js'

export interface WhoFlags extends CommonOptions {
  readonly user?: readonly string[]
  readonly queue?: readonly string[]
}

export interface UsersFlags extends WhoFlags {
  readonly node?: Address
  readonly dataDir?: string
}

const ROLES_HELP = Object.entries(ROLES)
  .map(([name, { about }]) => `  ${name.padEnd(9)} ${about}`)
  .join('\n')

export const WHO_HELP = `
Roles:
${ROLES_HELP}
Without --user: producer, worker, operator and metrics, each named after its role. What each may do, and why, is told in
docs/users.md.`

export const withWho = (command: Command) =>
  withCommonOptions(command)
    .option(
      '--user <name=roles>',
      'a user and its roles, NAME=ROLE,ROLE or a role alone; may be repeated',
      collect,
    )
    .option('--queue <name>', 'limit producers, workers and managers to this queue; may be repeated', collect)

export const withNodes = (command: Command) => command.addOption(nodeOption()).addOption(dataDirOption())

export const accountsOf = ({ user, queue }: WhoFlags): Account[] =>
  user?.map((text) => parseAccount(text, queue)) ?? usualAccounts(queue)
