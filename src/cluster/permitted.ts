import { AdministrationRefusedError, NodeUnreachableError } from './errors.js'
import { type Address, type LinkOptions, nameOf, withLink } from './link.js'
import { isForbidden } from './replies.js'

/**
 * Administrative commands in a form that names nothing there is. A server that permits the command says that it makes no
 * sense; one that does not says so before it looks. Nothing is changed either way.
 */
const HARMLESS = {
  'CLUSTER SETSLOT': ['CLUSTER', 'SETSLOT', '16384', 'STABLE'],
  'CLUSTER FORGET': ['CLUSTER', 'FORGET', 'nobody'],
  'CLUSTER FAILOVER': ['CLUSTER', 'FAILOVER', 'NOTHING'],
  'CLUSTER COUNTKEYSINSLOT': ['CLUSTER', 'COUNTKEYSINSLOT', '16384'],
  MIGRATE: ['MIGRATE', 'nowhere', '0', '', '0', 'never'],
  SHUTDOWN: ['SHUTDOWN', 'NOTHING'],
} as const

type AdminCommand = keyof typeof HARMLESS

/**
 * Whether servers let us use what a command of ours cannot do without: asked early, since half of a repair is worse than
 * none. Hosted services permit nearly none of it. Of the seeds the first that answers is asked; where none does, nothing is
 * said, for it is not known.
 * @param what what needs the commands: `cluster fix`
 * @throws AdministrationRefusedError naming the first that is not permitted; AuthenticationError when credentials are refused
 */
export async function mustPermit(
  seeds: readonly Address[],
  options: LinkOptions,
  what: string,
  commands: readonly AdminCommand[],
): Promise<void> {
  for (const seed of seeds) {
    try {
      return await withLink(seed, options, async (link) => {
        for (const command of commands) {
          const [word, ...args] = HARMLESS[command]
          const answer = await link.text(word, ...args).catch((error: Error) => error)
          if (answer instanceof Error && isForbidden(answer))
            throw new AdministrationRefusedError(nameOf(seed), command, what)
        }
      })
    } catch (error) {
      if (!(error instanceof NodeUnreachableError)) throw error
    }
  }
}
