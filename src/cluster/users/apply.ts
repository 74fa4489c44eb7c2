import type { Address } from '../link.js'
import { mustBeAgreed } from '../operation/agreed.js'
import { evenUnlocked, withOperation } from '../operation/index.js'
import { leftOf } from '../owed/left.js'
import type { Unpaid } from '../owed/unpaid.js'
import { disableDefault } from './default-user.js'
import { judgeFiles } from './files.js'
import { Giving } from './giving.js'
import { mustLockNobodyOut } from './lock-out.js'
import { toldWhichPassword, withEitherPassword } from './login.js'
import { withNodes } from './nodes.js'
import { type Persisted, persist } from './persist.js'
import { changesOf, deedsOf, hashesOf, storedOn, type UserChange, type UsersOptions } from './plan.js'

export interface ApplyOptions extends UsersOptions {
  /**
   * Switch the default user off in the end. Default false. Refused, with LockOutError, unless every node has taken all of it,
   * an operator whose password we have can log in everywhere and could switch it on again, and replicas log in as another.
   */
  readonly disableDefault?: boolean
  /** What somebody has agreed to, as `planUsers` told it. Given, nothing is done where there is more to do by now. */
  readonly agreed?: readonly UserChange[]
  /** Told why the cluster takes no lock; users are made all the same, since a cluster that is down may need them to be mended. */
  readonly onUnlocked?: (why: Error) => void
  /** Nodes after the one under way are left as they are. */
  readonly signal?: AbortSignal
  readonly onNode?: (node: AppliedNode) => void
}

export interface AppliedNode {
  readonly node: string
  /** Users that were made or changed there. */
  readonly changed: readonly string[]
  /** Where they are kept, so that a restart does not lose them; null where they are not. */
  readonly persisted: Persisted | null
  /** What went wrong; running it again goes on from there. */
  readonly error: string | null
}

export interface UsersReport {
  /** Whether every node has everything, and keeps it. */
  readonly ok: boolean
  readonly nodes: readonly AppliedNode[]
  readonly defaultUser: 'as it was' | 'off'
  /** Users whose earlier passwords are valid still, since not every node has the new one, and keeps it. */
  readonly earlier: readonly string[]
  /** As in `UsersPlan`, when it was done. */
  readonly notes: readonly string[]
  /** What nodes have not got back from an operation that was cut off: why, and what to do about it. */
  readonly left: readonly Unpaid[]
}

/**
 * Makes users the same on every node, for the servers do not: writes each to each node, reads it back, logs in as each whose
 * password is given, and has each node keep it. A node that fails is reported, and the others are done; what is done already
 * is not done again. A user with the role `replica` becomes the one that replicas log in as. A password that a user had before is
 * ended only when every node takes and keeps the new one, so that at every moment one of the two gets in everywhere.
 * @throws as planUsers; PlanChangedError, OperationInProgressError, before anything is done; OperationLostError; LockOutError of the
 *   default user, after users were made
 */
export async function applyUsers(seeds: readonly Address[], options: ApplyOptions): Promise<UsersReport> {
  const operation = evenUnlocked('users apply', options.onUnlocked)
  const login = withEitherPassword(options)
  return toldWhichPassword(options, () =>
    withOperation(seeds, login, operation, options.signal, async (held) => ({
      ...(await apply(seeds, { ...login, ...held })),
      left: leftOf(held),
    })),
  )
}

async function apply(seeds: readonly Address[], options: ApplyOptions): Promise<Omit<UsersReport, 'left'>> {
  const { accounts, passwords, disableDefault: disable = false, agreed, signal, onNode, ...access } = options
  return withNodes(seeds, access, async (found) => {
    const stored = await storedOn(found.nodes)
    const hashes = hashesOf(accounts, passwords, stored)
    if (agreed)
      mustBeAgreed('users apply', deedsOf(agreed), deedsOf(changesOf(found, accounts, hashes, stored)))
    await mustLockNobodyOut(found, options.username, accounts)
    const notes = await judgeFiles(found.nodes, options)
    const giving = new Giving({ found, options, hashes, stored, access })
    await giving.each((node) => giving.give(node))
    if (!giving.hasFailed) await giving.each((node) => giving.replicate(node))
    await giving.each((node) => giving.keep(node))
    await giving.lookForOthers(seeds)
    if (!giving.hasFailed) await giving.each((node) => giving.endEarlier(node))
    const failed = giving.report().filter(({ error }) => error !== null)
    if (disable) {
      const operator = await disableDefault(found, { ...options, failed })
      await giving.each(async (node) => void (await persist(operator.linkTo(node), false)))
      operator.close()
    }
    const nodes = giving.report()
    for (const node of nodes) onNode?.(node)
    return {
      ok: nodes.every(({ error }) => error === null),
      nodes,
      defaultUser: disable ? 'off' : 'as it was',
      earlier: giving.earlier,
      notes,
    }
  })
}
