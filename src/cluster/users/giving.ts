import { NotPermittedError } from '../../errors.js'
import { type Address, type LinkOptions, NodeLink } from '../link.js'
import { observe } from '../observer.js'
import { type Account, setuserArgs } from './account.js'
import type { AppliedNode, ApplyOptions } from './apply.js'
import { refusalToldBy } from './login.js'
import { type FoundNodes, type UserNode, usersOf } from './nodes.js'
import { NoConfigFile, persist } from './persist.js'
import { changeOf, type StoredByNode } from './plan.js'
import { replicateAs, replicationOf } from './replication.js'
import type { StoredUser } from './stored.js'

interface Parts {
  readonly found: FoundNodes
  readonly options: ApplyOptions
  /** Of the password that each user is to have, by name. */
  readonly hashes: ReadonlyMap<string, string>
  /** As it was when we began. */
  readonly stored: StoredByNode
  readonly access: LinkOptions
}

type Working = { -readonly [Field in keyof AppliedNode]: AppliedNode[Field] } & {
  /** That it keeps nothing over a restart, whatever we do: no reason to wait with the others. */
  keepsNothing: string | null
}

/**
 * The steps by which nodes get users. Each is done on all nodes before the next, so that whoever is broken off in between leaves a cluster in
 * which the old passwords are valid on every node, or the new ones are.
 */
export class Giving {
  readonly #work: Map<string, Working>
  /** Nodes that nothing could be done on. */
  readonly #left: AppliedNode[]
  /** As each node was when it was last looked at. */
  readonly #now: Map<string, ReadonlyMap<string, StoredUser>>

  constructor(private readonly parts: Parts) {
    const { found, stored, options } = parts
    const done = { changed: [], persisted: null, error: null, keepsNothing: null }
    this.#work = new Map(found.nodes.map(({ name }) => [name, { node: name, ...done }]))
    this.#left = found.silent.map(({ name, error }) => left(name, refusalToldBy(options, error).message))
    this.#now = new Map(stored)
  }

  get hasFailed(): boolean {
    return this.#left.length > 0 || [...this.#work.values()].some(({ error }) => error !== null)
  }

  /** Users who get in somewhere with another password, too. */
  get earlier(): string[] {
    const { options, hashes } = this.parts
    const hasOther = (name: string, user: StoredUser | undefined) =>
      user?.nopass === true || user?.hashes.some((hash) => hash !== hashes.get(name)) === true
    return options.accounts
      .map(({ name }) => name)
      .filter((name) => [...this.#now.values()].some((users) => hasOther(name, users.get(name))))
  }

  report(): AppliedNode[] {
    const done = [...this.#work.values()].map(({ keepsNothing, error, ...node }) => ({
      ...node,
      error: error ?? keepsNothing,
    }))
    return [...done, ...this.#left]
  }

  /** One node after the other; a step that fails there ends the work there. Where it is a right that we lack, on those that follow, too. */
  async each(step: (node: UserNode) => Promise<void>): Promise<void> {
    let refusing: string | undefined
    for (const node of this.parts.found.nodes) {
      const done = this.#of(node)
      if (done.error !== null) continue
      try {
        if (this.parts.options.signal?.aborted) throw new Error('interrupted before this')
        if (refusing !== undefined) throw new Error(`not done, since ${refusing} refuses us a right for it`)
        await step(node)
      } catch (error) {
        if (error instanceof NotPermittedError) refusing = node.name
        // Not the error itself: the client hangs the command on it, with the hash of a password.
        done.error = (error as Error).message
      }
    }
  }

  /** Each user with all that it is to have. Whoever may log in goes on with what they have, besides. */
  async give(node: UserNode): Promise<void> {
    const { found, options, hashes } = this.parts
    for (const account of options.accounts) {
      if (this.#isGiven(node, account)) continue
      const hash = hashes.get(account.name) ?? ''
      const words = this.#loginWords(node, account, hash)
      await node.link.reply('ACL', 'SETUSER', ...setuserArgs(account, found.version, hash, words))
      this.#changed(node, account)
    }
    await this.#look(node)
    const other = options.accounts.find((each) => !this.#isGiven(node, each))
    if (other) throw otherwise(other)
    await this.#logInAsEach(node)
  }

  /** Only when all nodes let that user in: each may be the master of any tomorrow. */
  async replicate(node: UserNode): Promise<void> {
    const replication = await replicationOf(node, this.parts.options)
    if (replication) await replicateAs(node, replication)
  }

  async keep(node: UserNode): Promise<void> {
    const done = this.#of(node)
    const settings = (await replicationOf(node, this.parts.options)) !== undefined
    try {
      done.persisted = await persist(node.link, settings)
    } catch (error) {
      if (!(error instanceof NoConfigFile)) throw error
      done.keepsNothing = error.message
    }
  }

  /** Before passwords are ended: a node that has joined or gone silent may have nothing but those. */
  async lookForOthers(seeds: readonly Address[]): Promise<void> {
    if (this.hasFailed || this.earlier.length === 0) return
    for (const node of (await observe(seeds, this.parts.access)).nodes) {
      const error = node.up ? 'it has joined meanwhile' : node.error.message
      const done = this.#work.get(node.name)
      if (!done) this.#left.push(left(node.name, error))
      else if (!node.up) done.error = error
    }
    await this.each(async (node) => {
      await this.#look(node)
      const other = this.parts.options.accounts.find((each) => !this.#isGiven(node, each))
      if (other) throw otherwise(other)
    })
  }

  /** Of the passwords that users had when we began: what somebody else has added since is theirs to end. */
  async endEarlier(node: UserNode): Promise<void> {
    const { options, hashes } = this.parts
    let isChanged = false
    for (const account of options.accounts) {
      const { name } = account
      const user = this.#now.get(node.name)?.get(name)
      const words = user?.nopass
        ? ['resetpass', `#${hashes.get(name)}`]
        : (user?.hashes ?? []).filter((hash) => this.#isEarlier(name, hash)).map((hash) => `!${hash}`)
      if (words.length === 0) continue
      await node.link.reply('ACL', 'SETUSER', name, ...words)
      this.#changed(node, account)
      isChanged = true
    }
    if (!isChanged) return
    await this.#look(node)
    await this.keep(node)
    const other = options.accounts.find((each) => this.#changeOf(node, each).change !== 'none')
    if (other) throw otherwise(other)
  }

  #isEarlier(user: string, hash: string): boolean {
    if (hash === this.parts.hashes.get(user)) return false
    return [...this.parts.stored.values()].some((users) => users.get(user)?.hashes.includes(hash))
  }

  /** Nobody is in by the password of a user who is off; and whoever needs none gets in with the new one, too. */
  #loginWords(node: UserNode, { name }: Account, hash: string): string[] {
    const user = this.#now.get(node.name)?.get(name)
    if (!user?.on) return ['resetpass', `#${hash}`]
    return user.nopass ? [] : [`#${hash}`]
  }

  /** It has its rights, is on, and gets in with its password; perhaps with others, too. */
  #isGiven(node: UserNode, account: Account): boolean {
    const { change, password, switchedOn } = this.#changeOf(node, account)
    const isNopass = this.#now.get(node.name)?.get(account.name)?.nopass === true
    const getsIn = password !== 'changes' || isNopass
    return getsIn && !switchedOn && change !== 'new' && change !== 'rules'
  }

  #changeOf(node: UserNode, account: Account) {
    const { found, hashes } = this.parts
    return changeOf(node.name, account, found.version, hashes.get(account.name), this.#now.get(node.name))
  }

  #changed(node: UserNode, { name }: Account): void {
    const done = this.#of(node)
    done.changed = [...new Set([...done.changed, name])]
  }

  async #look(node: UserNode): Promise<void> {
    this.#now.set(node.name, await usersOf(node))
  }

  #of({ name }: UserNode): Working {
    return this.#work.get(name) as Working
  }

  async #logInAsEach({ address }: UserNode): Promise<void> {
    const { access, options } = this.parts
    for (const { name } of options.accounts) {
      const password = options.passwords?.get(name)
      if (password === undefined) continue
      // No fence: they have the rights of their own part, and do nothing but log in.
      const { otherPassword: _, fence: __, ...only } = access
      const link = await NodeLink.open(address, { ...only, username: name, password })
      link.close()
    }
  }
}

const left = (node: string, error: string): AppliedNode => ({ node, changed: [], persisted: null, error })

const otherwise = ({ name }: Account) => new Error(`it has user ${name} otherwise than it was told`)
