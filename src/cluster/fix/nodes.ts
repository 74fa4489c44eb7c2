import { type LinkOptions, NodeLink } from '../link.js'
import { parseClusterNodes } from '../replies.js'
import { type OpenSlot, parseOpenSlots, type SlotRange } from '../slots.js'
import { type Party, StepRefused } from './steps.js'

/** Longer than for a look: what is read here may be large. */
const COMMAND_MS = 5_000

/** Links to the nodes that a repair speaks to, opened when they are needed. */
export class Nodes {
  readonly #links = new Map<string, Promise<NodeLink>>()

  constructor(readonly access: LinkOptions) {}

  link(party: Party): Promise<NodeLink> {
    const known = this.#links.get(party.name)
    if (known) return known
    const link = NodeLink.open(party, { ...this.access, timeoutMs: COMMAND_MS })
    this.#links.set(party.name, link)
    return link
  }

  async text(party: Party, command: string, ...args: (string | number)[]): Promise<string> {
    return (await this.link(party)).text(command, ...args)
  }

  setSlot(party: Party, slot: number, ...state: string[]): Promise<string> {
    return this.text(party, 'CLUSTER', 'SETSLOT', slot, ...state)
  }

  async countKeys(party: Party, slot: number): Promise<number> {
    return Number(await this.text(party, 'CLUSTER', 'COUNTKEYSINSLOT', slot))
  }

  /** Names of the keys of a slot, at most so many. */
  async keyNames(party: Party, slot: number, most: number): Promise<Buffer[]> {
    return (await (await this.link(party)).bytes('CLUSTER', 'GETKEYSINSLOT', slot, most)) as Buffer[]
  }

  /** What a node says of itself. */
  async self(party: Party): Promise<{ slots: readonly SlotRange[]; open: readonly OpenSlot[] }> {
    const nodes = parseClusterNodes(await this.text(party, 'CLUSTER', 'NODES'), party.host)
    const self = nodes.find(({ myself }) => myself)
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
