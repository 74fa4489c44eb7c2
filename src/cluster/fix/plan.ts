import { nameOf } from '../link.js'
import { namesIn } from '../owed/due.js'
import type { Settled } from '../owed/settle.js'
import { redisCli } from '../redis-cli.js'
import type { NodeView } from '../replies.js'
import { calledBy, campsOf, differencesOf } from '../views.js'
import type { Evidence } from './evidence.js'
import { forget, forgetting, hasAddress, nodesToForget, takeOver } from './forget.js'
import { Known } from './known.js'
import { introductions, leftOut, leftOutOf } from './lost-sight.js'
import { rejoins } from './rejoin.js'
import { leftUntilBack, mayClaimAgain } from './returning.js'
import { type FixPlan, type FixStep, isMend, type Left, type Side, slotText } from './steps.js'

export interface PlanOptions {
  /** Nodes that are gone for good, by id or `host:port`. */
  readonly forget?: readonly string[]
  /** Also bring keys home of which nobody can know whether they were deleted at the owner since. Default false: they are left. */
  readonly bringHome?: boolean
}

/**
 * What to do about what was seen, and what not. Pure: the same evidence gives the same plan.
 * @throws InvalidOptionError when a node is to be forgotten that nobody knows, that lives, or whose data a replica has
 *   or may have that is not named, too
 */
export function planFrom(evidence: Evidence, options: PlanOptions = {}): FixPlan {
  const known = new Known(evidence)
  const forgotten = nodesToForget(options.forget ?? [], known)
  const plan = new Drafts(known, new Set(forgotten.map(({ id }) => id)), options.bringHome ?? false)
  for (const slot of known.suspects()) plan.slot(slot)
  const ofSlots = plan.steps()
  return {
    steps: [
      ...introductions(evidence.observation),
      ...ofSlots,
      // What is mended first may change who has how many slots.
      ...(ofSlots.some(isMend) ? [] : rejoins(known)),
      ...(evidence.owed ?? []).map((each) => backTo(each, known)),
      ...forgotten.map((node) => forget(node, known)),
    ],
    left: [
      ...plan.left(),
      ...nodesLeft(known, forgotten),
      ...leftOut(evidence.observation),
      ...viewsLeft(evidence),
      ...(evidence.unpaid ?? []),
    ],
  }
}

/** Collects what is to be done slot by slot. */
class Drafts {
  readonly #closes: FixStep[] = []
  readonly #finishes: FixStep[] = []
  readonly #homes: FixStep[] = []
  /** By the node that gets them, those with keys apart from those without. */
  readonly #assigned = new Map<string, { to: string; slots: number[]; keys: number }>()
  /** Slots by what is to be said of them. */
  readonly #left = new Map<string, { slots: number[]; say: (slots: string) => Left }>()

  constructor(
    private readonly known: Known,
    /** Named as gone for good: whatever was theirs is nobody's. */
    private readonly forgotten: ReadonlySet<string>,
    private readonly alsoDoubtful: boolean,
  ) {}

  /** Slots first get owners, since a cluster may refuse everything else until they have. */
  steps(): FixStep[] {
    const assigns = [...this.#assigned.values()].map(
      ({ to, slots, keys }): FixStep => ({ kind: 'assign', slots, to: this.known.party(to), keys }),
    )
    return [...assigns, ...this.#closes, ...this.#finishes, ...this.#homes]
  }

  left(): Left[] {
    return [...this.#left.values()].map(({ slots, say }) => say(slotText(slots)))
  }

  slot(slot: number): void {
    const [owner, other] = this.known.claims(slot)
    if (other !== undefined) this.#disputed(slot)
    else if (owner === undefined) this.#unowned(slot)
    else this.#owned(slot, owner)
  }

  #unowned(slot: number): void {
    const { known } = this
    const down = known.named(slot).find((id) => !known.isUp(id) && !this.forgotten.has(id))
    const [holder] = known.holders(slot)
    const missing = known.mayHaveKeys().filter(({ id }) => !this.forgotten.has(id))
    // Whoever has keys of it may have been promoted in its place, or be the other end of a move, or have old ones: nobody can know.
    // Given to that one, the owner would drop its own when it comes back.
    if (down !== undefined) this.#ownerDown(slot, down)
    else if (holder === undefined && missing.length > 0) this.#mayHaveKeys(slot, missing)
    else this.#give(slot, holder ?? this.#heir(slot), holder !== undefined)
  }

  /** Of a slot without keys: whom the others take for its owner already, or else who has least to do. */
  #heir(slot: number): string | undefined {
    return this.known.named(slot).find((id) => this.known.isMaster(id)) ?? this.known.leastLoaded()
  }

  #give(slot: number, to: string | undefined, hasKeys: boolean): void {
    if (to === undefined) return
    const group = `${to} ${hasKeys}`
    const assigned = this.#assigned.get(group) ?? { to, slots: [], keys: 0 }
    this.#assigned.set(group, assigned)
    assigned.slots.push(slot)
    assigned.keys += this.known.keysOn(to, slot)
    // Nobody has served it, so nothing was deleted there.
    this.#closeAllBut(slot, to, [])
    this.#bringHome(slot, to, { isDoubtful: false })
  }

  #owned(slot: number, owner: string): void {
    const { known } = this
    const target = this.#targetOf(slot, known.sides(slot, owner))
    if (target === null) return
    if (target === undefined || known.keysOn(target, slot) === 0) {
      this.#settle(slot, owner)
      return
    }
    const [from, to] = [known.party(owner), known.party(target)]
    const down = mayClaimAgain(known, this.forgotten)
    if (down.length > 0) {
      this.#leave(`until back ${owner} ${target}`, slot, leftUntilBack(from.name, to.name, down))
      return
    }
    const [keys, keysThere] = [known.keysOn(owner, slot), known.keysOn(target, slot)]
    this.#finishes.push({ kind: 'finish', slot, from, to, keys, keysThere })
    this.#closeAllBut(slot, owner, [owner, target])
    this.#bringHome(slot, target, { leaving: owner })
  }

  #settle(slot: number, owner: string): void {
    this.#closeAllBut(slot, owner, [])
    this.#bringHome(slot, owner)
  }

  /**
   * Where keys of a slot have gone: to whom its owner sends those who miss one, or, if it sends them nowhere, to the one who
   * imports it, and has a note of a move: its owner has replaced the one that sent them. Undefined: nowhere. A node that is restarted imports
   * every slot of which it has old keys.
   */
  #targetOf(slot: number, sides: readonly Side[]): string | undefined | null {
    const { known } = this
    const leaving = sides.find(({ owns, direction }) => owns && direction === 'migrating')
    if (leaving) return this.#otherEnd(slot, leaving)
    const importers = sides.filter(({ direction }) => direction === 'importing').map(({ node }) => node.id)
    return known.noted(slot).find((id) => importers.includes(id))
  }

  /** Null when the other end cannot be asked whether it has keys; the slot is left then. */
  #otherEnd(slot: number, leaving: Side): string | undefined | null {
    const { known } = this
    const peer = known.view(leaving.peer)
    // A node that became a replica has handed its keys to its master.
    const master = peer?.role === 'replica' ? known.view(peer.masterId ?? '') : peer
    if (master && known.isUp(master.id)) return master.id
    if (master && this.forgotten.has(master.id)) return this.#inPlaceOfPeer(slot, leaving)
    const command = redisCli(leaving.node, {}, 'CLUSTER SETSLOT <slot> STABLE')
    this.#leave(`peer ${leaving.node.id} ${leaving.peer}`, slot, (slots) => ({
      what: `${slots} of ${leaving.node.name} on the way to ${master ? nameOf(master) : leaving.peer}`,
      why: `that node ${master ? 'does not answer' : 'is not known any more'}, and may have keys that were moved already`,
      remedy: `start it again on its old data; or, if it and its keys are gone for good: ${
        master ? forgetting(master.id, known) : command
      }`,
    }))
    return null
  }

  /**
   * The other end is gone for good. Whoever was promoted in its place has what had come to it, and the slot, which is closed for a queue, goes
   * there: a note of the move tells who that is. Without one these may be old keys of anybody, which count only where the owner has nothing.
   */
  #inPlaceOfPeer(slot: number, { node: owner, peer }: Side): string | undefined {
    const { known } = this
    const [holder] = known.holders(slot, owner.id)
    const noted = known.noted(slot).find((id) => id !== owner.id)
    if (noted !== undefined) return noted
    // The others are told of a claim alone: it was the owner, and its replica may have more than the old one.
    if (known.named(slot).includes(peer)) return holder
    return this.alsoDoubtful || known.keysOn(owner.id, slot) === 0 ? holder : undefined
  }

  /** Ends without keys are closed; those with keys are closed when their keys have left. */
  #closeAllBut(slot: number, owner: string, except: readonly string[]): void {
    const sides = this.known
      .sides(slot, owner)
      .filter(
        ({ node, owns }) => !except.includes(node.id) && (owns || this.known.keysOn(node.id, slot) === 0),
      )
    if (sides.length > 0) this.#closes.push({ kind: 'close', slot, sides })
  }

  #bringHome(
    slot: number,
    home: string,
    { leaving, isDoubtful = !this.alsoDoubtful }: { leaving?: string; isDoubtful?: boolean } = {},
  ): void {
    for (const holder of this.known.holders(slot, home)) {
      if (holder === leaving) continue
      const [from, to] = [this.known.party(holder), this.known.party(home)]
      const keys = this.known.keysOn(holder, slot)
      // The owner has served the slot: what it has not may have been deleted there since they were cut off from each other.
      if (isDoubtful && this.known.keysOn(home, slot) > 0) {
        this.#homes.push({ kind: 'drop-same', slot, from, to, keys })
        this.#leave(`orphans ${holder} ${home}`, slot, (slots) => ({
          what: `keys of ${slots} on ${from.name}, where nobody finds them, while ${to.name}, the owner, has others`,
          why: 'they may be lost ones, or old ones that were deleted at the owner since; nobody can know',
          remedy:
            `look at them: ${redisCli(from, {}, 'CLUSTER GETKEYSINSLOT SLOT 100')}; ` +
            'to move those to the owner that it does not have: shardq cluster fix --bring-home',
        }))
        continue
      }
      this.#homes.push({ kind: 'bring-home', slot, from, to, keys })
    }
  }

  #disputed(slot: number): void {
    const names = this.known.claims(slot).map((id) => this.known.party(id).name)
    this.#leave(`disputed ${names}`, slot, (slots) => ({
      what: `${slots} claimed by ${names.join(' and by ')}`,
      why: 'the nodes have not told each other; the one with the later election wins as soon as they do',
      remedy:
        'see that they reach each other’s bus ports: shardq cluster check; then again: shardq cluster fix',
    }))
  }

  #ownerDown(slot: number, id: string): void {
    const { known } = this
    const owner = known.party(id)
    const replica = known.views().find((node) => node.masterId === id && known.isUp(node.id))
    const takeover = replica
      ? `; or let its replica take over: ${redisCli(replica, {}, 'CLUSTER FAILOVER FORCE')}`
      : ''
    const down = known.replicasOf(id).filter((node) => hasAddress(node) && !this.forgotten.has(node.id))
    const [first] = down
    const gone =
      (first
        ? `; or start its replica ${down.map(nameOf).join(' or ')}, and let that take over: ${takeOver(first)}; or, if they and their data `
        : '; or, if it and its data ') +
      `are gone for good: ${forgetting(id, known)}, which gives its slots to those that have keys of them, and the rest to others, without keys`
    if (known.view(id)?.flags.includes('noaddr')) {
      this.#leave(`down ${id}`, slot, (slots) => ({
        what: `${slots} of ${owner.name}, whose address nobody knows any more`,
        why: 'it was reset, or lost its nodes.conf; what runs at its old address is another node now',
        remedy: replica
          ? `let its replica take over, which has the keys: ${redisCli(replica, {}, 'CLUSTER FAILOVER FORCE')}`
          : 'start it again with the nodes.conf that it had',
      }))
      return
    }
    this.#leave(`down ${id}`, slot, (slots) => ({
      what: `${slots} of ${owner.name}, which does not answer`,
      why: 'it may have keys of them that no node has which answers',
      remedy: `start it again on its old data, or if it runs under another address, name that too (redis.nodes)${takeover || gone}`,
    }))
  }

  #mayHaveKeys(slot: number, missing: readonly NodeView[]): void {
    const names = missing.map(nameOf).join(', ')
    this.#leave(`orphan ${names}`, slot, (slots) => ({
      what: `${slots} without an owner`,
      why: `no node that answers has keys of them, but ${names} may, and does not answer`,
      remedy: `start it again on its old data; or, if it is gone for good: shardq cluster fix ${missing
        .map((node) => `--forget ${node.id}`)
        .join(' ')}, and then once more without`,
    }))
  }

  #leave(reason: string, slot: number, say: (slots: string) => Left): void {
    const left = this.#left.get(reason) ?? { slots: [], say }
    this.#left.set(reason, left)
    left.slots.push(slot)
  }
}

const backTo = ({ owed, due }: Settled, known: Known): FixStep => ({
  kind: 'give-back',
  node: known.party(owed.id),
  owed,
  ...namesIn(due),
})

/** Nodes that do not answer and own nothing; of those that own slots, the slots have told. */
function nodesLeft(known: Known, forgotten: readonly NodeView[]): Left[] {
  return known
    .views()
    .filter(({ id, slots }) => !known.isUp(id) && slots.length === 0)
    .filter(({ id }) => !forgotten.some((node) => node.id === id))
    .map((node) =>
      node.flags.includes('noaddr')
        ? {
            what: `${node.role} ${calledBy(node)}`,
            why: 'it was reset, or lost its nodes.conf, and owns nothing',
            remedy: `shardq cluster fix --forget ${node.id}`,
          }
        : {
            what: `${node.role} ${nameOf(node)}, which does not answer`,
            why: 'it may come back',
            remedy: `start it again; or, if it is gone for good: shardq cluster fix --forget ${node.id}`,
          },
    )
}

function viewsLeft({ observation }: Evidence): Left[] {
  // Of one that belongs to no cluster it is said that; that it sees another one goes with it.
  const out = leftOutOf(observation).map(({ name }) => name)
  const nodes = observation.nodes.filter(({ name }) => !out.includes(name))
  return differencesOf(campsOf({ ...observation, nodes })).map((difference) => ({
    what: `views that differ: ${difference}`,
    why: 'they did not become one in the time that was waited',
    remedy:
      'see that the nodes reach each other’s bus ports: shardq cluster check; then again: shardq cluster fix',
  }))
}
