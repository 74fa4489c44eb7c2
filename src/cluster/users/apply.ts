import type { Address, LinkOptions } from '../link.js'
import { NodeLink } from '../link.js'
import { mustBeAgreed } from '../operation/agreed.js'
import { evenUnlocked, withOperation } from '../operation/index.js'
import { setuserArgs } from './account.js'
import { disableDefault } from './default-user.js'
import { type FoundNodes, type UserNode, usersOf, withNodes } from './nodes.js'
import { type Persisted, persist } from './persist.js'
import {
  changeOf,
  changesOf,
  deedsOf,
  hashesOf,
  storedOn,
  type UserChange,
  type UsersOptions,
} from './plan.js'
import { replicateAs, replicationOf } from './replication.js'

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
}

type Working = { -readonly [Field in keyof AppliedNode]: AppliedNode[Field] }

/**
 * Makes users the same on every node, for the servers do not: writes each to each node, reads it back, logs in as each whose
 * password is given, and has each node keep it. A node that fails is reported, and the others are done; what is done already
 * is not done again. A user with the role `replica` becomes the one that replicas log in as.
 * @throws as planUsers; PlanChangedError, OperationInProgressError, before anything is done; OperationLostError; LockOutError, after
 *   users were made
 */
export async function applyUsers(seeds: readonly Address[], options: ApplyOptions): Promise<UsersReport> {
  const operation = evenUnlocked('users apply', options.onUnlocked)
  return withOperation(seeds, options, operation, options.signal, (held) =>
    apply(seeds, { ...options, ...held }),
  )
}

async function apply(seeds: readonly Address[], options: ApplyOptions): Promise<UsersReport> {
  const { accounts, passwords, disableDefault: disable = false, agreed, signal, onNode, ...access } = options
  return withNodes(seeds, access, async (found) => {
    const work = new Map<string, Working>(
      found.nodes.map(({ name }) => [name, { node: name, changed: [], persisted: null, error: null }]),
    )
    const replication = replicationOf(options)
    const stored = await storedOn(found.nodes)
    const hashes = hashesOf(accounts, passwords, stored)
    if (agreed)
      mustBeAgreed('users apply', deedsOf(agreed), deedsOf(changesOf(found, accounts, hashes, stored)))
    const onEach = (step: (node: UserNode, done: Working) => Promise<void>) =>
      eachNode(found, work, signal, step)

    await onEach(async (node, done) => {
      const before = stored.get(node.name)
      for (const account of accounts) {
        const hash = hashes.get(account.name) ?? ''
        if (changeOf(node.name, account, found.version, hash, before).change === 'none') continue
        await node.link.reply('ACL', 'SETUSER', ...setuserArgs(account, found.version, hash))
        done.changed = [...done.changed, account.name]
      }
      const after = await usersOf(node)
      const other = accounts.find(
        (each) => changeOf(node.name, each, found.version, hashes.get(each.name), after).change !== 'none',
      )
      if (other) throw new Error(`it has user ${other.name} otherwise than it was told`)
      await logInAsEach(node, access, passwords, accounts)
      if (replication) await replicateAs(node, replication)
    })

    const silent = found.silent.map(({ name, error }) => failed(name, error.message))
    await onEach(async (node, done) => {
      done.persisted = await persist(node.link, replication !== undefined)
    })
    if (disable) {
      const operator = await disableDefault(found, { ...options, failed: failuresOf(work, silent) })
      await onEach(async (node) => void (await persist(operator.linkTo(node), false)))
      operator.close()
    }

    const nodes = [...work.values(), ...silent]
    for (const node of nodes) onNode?.(node)
    return {
      ok: nodes.every(({ error }) => error === null),
      nodes,
      defaultUser: disable ? 'off' : 'as it was',
    }
  })
}

const failed = (node: string, error: string): AppliedNode => ({ node, changed: [], persisted: null, error })

const failuresOf = (work: ReadonlyMap<string, Working>, silent: readonly AppliedNode[]) =>
  [...work.values(), ...silent].filter(({ error }) => error !== null)

/** One node after the other; a step that fails there ends the work there. */
async function eachNode(
  { nodes }: FoundNodes,
  work: ReadonlyMap<string, Working>,
  signal: AbortSignal | undefined,
  step: (node: UserNode, done: Working) => Promise<void>,
): Promise<void> {
  for (const node of nodes) {
    const done = work.get(node.name)
    if (!done || done.error !== null) continue
    try {
      if (signal?.aborted) throw new Error('interrupted before this')
      await step(node, done)
    } catch (error) {
      // Not the error itself: the client hangs the command on it, with the hash of a password.
      done.error = (error as Error).message
    }
  }
}

async function logInAsEach(
  { address }: UserNode,
  access: LinkOptions,
  passwords: UsersOptions['passwords'],
  accounts: UsersOptions['accounts'],
): Promise<void> {
  for (const { name } of accounts) {
    const password = passwords?.get(name)
    if (password === undefined) continue
    const link = await NodeLink.open(address, { ...access, username: name, password })
    link.close()
  }
}
