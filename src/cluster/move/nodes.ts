import { NodeUnreachableError } from '../errors.js'
import { type Address, type LinkOptions, NodeLink, nameOf, withLink } from '../link.js'
import type { Owes } from '../owed/unpaid.js'
import { type NodeView, parseClusterNodes } from '../replies.js'
import { type OpenSlot, parseOpenSlots, type SlotRange } from '../slots.js'
import { NoReplicasError, type Party, StepRefused } from './party.js'
import { Rooms } from './room.js'

/** Longer than for a look: what is read here may be large. */
const COMMAND_MS = 5_000
/** For what blocks its node, and is known to take long. */
const PATIENT_MS = 15_000

/** Links to the nodes that a repair speaks to, opened when they are needed. */
export class Nodes {
  readonly #links = new Map<string, Promise<NodeLink>>()
  readonly #patient = new Map<string, Promise<unknown>>()
  /** Longest wait for a cluster that is down, in ms. */
  patienceMs = 10_000

  constructor(readonly access: LinkOptions & Owes) {}

  /** Ids of nodes that the operator has given up: nobody waits until they have heard of anything. */
  readonly givenUp = new Set<string>()
  /** Ids of nodes of which all others know which slots they have given away; not by us since. */
  readonly heardOf = new Set<string>()
  /** By node id: a wait for its replicas that has not begun (confirm.ts). */
  readonly confirming = new Map<string, Promise<void>>()
  readonly rooms = new Rooms()

  link(party: Party): Promise<NodeLink> {
    return this.#open(party.name, party, COMMAND_MS)
  }

  /**
   * One after the other for each node, over a link of their own, for which the time that a command takes is no reason to give
   * up.
   */
  patiently<Value>(party: Party, timeoutMs: number, use: (link: NodeLink) => Promise<Value>): Promise<Value> {
    const run = async () =>
      timeoutMs <= PATIENT_MS
        ? use(await this.#open(`${party.name} patient`, party, PATIENT_MS))
        : withLink(party, { ...this.access, timeoutMs }, use)
    const turn = (this.#patient.get(party.name) ?? Promise.resolve()).then(run, run)
    this.#patient.set(party.name, turn)
    return turn
  }

  async #open(name: string, party: Party, timeoutMs: number): Promise<NodeLink> {
    const known = this.#links.get(name)
    const isGood = known === undefined || !(await known).isFenced
    // Of those that wait for the same one, the first opens it.
    if (known === undefined || (!isGood && this.#links.get(name) === known))
      this.#links.set(name, NodeLink.open(party, { ...this.access, timeoutMs }))
    return this.#links.get(name) as Promise<NodeLink>
  }

  async text(party: Party, command: string, ...args: (string | number)[]): Promise<string> {
    return (await this.link(party)).text(command, ...args)
  }

  /** @throws NoRoomError when so many bytes more would have it throw keys away, or it has thrown some away already */
  async expectRoom(party: Party, bytes: number): Promise<void> {
    await this.rooms.expectRoom(await this.link(party), party, bytes)
  }

  /** @throws NoRoomError when it has thrown keys away */
  async expectKept(party: Party): Promise<void> {
    await this.rooms.expectKept(await this.link(party), party)
  }

  /** @throws NoReplicasError */
  async setSlot(party: Party, slot: number, ...state: string[]): Promise<string> {
    if (state[0] === 'NODE' && state[1] !== party.id) this.heardOf.delete(party.id)
    return this.text(party, 'CLUSTER', 'SETSLOT', slot, ...state).catch((error: Error) => {
      throw error.message.startsWith('NOREPLICAS') ? new NoReplicasError(party) : error
    })
  }

  async countKeys(party: Party, slot: number): Promise<number> {
    return Number(await this.text(party, 'CLUSTER', 'COUNTKEYSINSLOT', slot))
  }

  /** Names of the keys of a slot, at most so many. Default: all. */
  async keyNames(party: Party, slot: number, most?: number): Promise<Buffer[]> {
    const count = most ?? (await this.countKeys(party, slot))
    if (count === 0) return []
    return (await (await this.link(party)).bytes('CLUSTER', 'GETKEYSINSLOT', slot, count)) as Buffer[]
  }

  /** All nodes as one of them sees them. */
  async view(party: Party): Promise<NodeView[]> {
    return parseClusterNodes(await this.text(party, 'CLUSTER', 'NODES'), party.host)
  }

  /** As `view`, of one that may have been restarted since it was asked: a link that was kept stays broken then. */
  async viewAnew(address: Address): Promise<NodeView[]> {
    const name = nameOf(address)
    const party = { ...address, name, id: '' }
    if (this.#links.has(name))
      try {
        return await this.view(party)
      } catch (error) {
        if (!(error instanceof NodeUnreachableError)) throw error
        this.#drop(name)
      }
    return this.view(party)
  }

  /** One that has timed out is open still, and would keep this process from ending. */
  #drop(name: string): void {
    this.#links.get(name)?.then(
      (link) => link.close(),
      () => {},
    )
    this.#links.delete(name)
  }

  /** What a node says of itself. */
  async self(party: Party): Promise<{ slots: readonly SlotRange[]; open: readonly OpenSlot[] }> {
    const self = (await this.view(party)).find(({ myself }) => myself)
    // Another server, or the same with another identity, may have come to this address since the plan was made.
    if (self?.id !== party.id) throw new StepRefused(`${party.name} is not the node any more that it was`)
    return { slots: self.slots, open: parseOpenSlots(self.openSlots) }
  }

  async openSlot(party: Party, slot: number): Promise<OpenSlot | undefined> {
    return (await this.self(party)).open.find((each) => each.slot === slot)
  }

  async owns(party: Party, slot: number): Promise<boolean> {
    return (await this.self(party)).slots.some(([first, last]) => first <= slot && slot <= last)
  }

  async close(): Promise<void> {
    for (const link of await Promise.allSettled(this.#links.values()))
      if (link.status === 'fulfilled') link.value.close()
    this.#links.clear()
  }
}
