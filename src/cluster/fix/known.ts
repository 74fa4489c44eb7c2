import type { NodeView } from '../replies.js'
import { ALL_SLOTS, countIn, type OpenSlot, parseOpenSlots } from '../slots.js'
import { calledBy, campsOf, selfOf, type Witness, witnessesOf } from '../views.js'
import { type Evidence, mastersOf } from './evidence.js'
import type { Party, Side } from './steps.js'

/** The evidence, by what a plan asks of it. */
export class Known {
  readonly masters: readonly Witness[]
  /** Ids of the masters that say of a slot that it is theirs, by slot. */
  readonly #claims: string[][] = Array.from({ length: ALL_SLOTS }, () => [])
  /** Ids that others name as the owner of a slot, by slot. */
  readonly #named: Set<string>[] = Array.from({ length: ALL_SLOTS }, () => new Set())
  readonly #open = new Map<string, ReadonlyMap<number, OpenSlot>>()
  readonly #views = new Map<string, NodeView>()
  readonly #up = new Set<string>()

  constructor(readonly evidence: Evidence) {
    const { observation } = evidence
    this.masters = mastersOf(observation)
    // The largest camp last, since it is to be believed about addresses and roles.
    for (const { view } of campsOf(observation).reverse())
      for (const node of view) this.#views.set(node.id, node)
    for (const witness of witnessesOf(observation)) {
      const self = selfOf(witness)
      if (self) this.#up.add(self.id)
      for (const node of witness.view) this.#read(node, witness)
    }
    for (const master of this.masters) {
      const self = selfOf(master)
      const open = parseOpenSlots(self?.openSlots ?? [])
      this.#open.set(self?.id ?? '', new Map(open.map((each) => [each.slot, each])))
    }
  }

  #read(node: NodeView, witness: Witness): void {
    const mine = node.myself && this.masters.includes(witness)
    for (const [first, last] of node.slots)
      for (let slot = first; slot <= last; slot++) {
        if (mine) this.#claims[slot]?.push(node.id)
        else this.#named[slot]?.add(node.id)
      }
  }

  /** Slots about which there is anything to think. */
  suspects(): number[] {
    const suspects = new Set<number>()
    this.#claims.forEach((claims, slot) => {
      if (claims.length !== 1) suspects.add(slot)
    })
    for (const open of this.#open.values()) for (const slot of open.keys()) suspects.add(slot)
    for (const [id, counts] of this.evidence.keys)
      for (const slot of counts.keys()) if (!this.claims(slot).includes(id)) suspects.add(slot)
    return [...suspects].sort((a, b) => a - b)
  }

  claims(slot: number): readonly string[] {
    return this.#claims[slot] ?? []
  }

  named(slot: number): readonly string[] {
    return [...(this.#named[slot] ?? [])]
  }

  isUp(id: string): boolean {
    return this.#up.has(id)
  }

  isMaster(id: string): boolean {
    return this.#masterIds().includes(id)
  }

  view(id: string): NodeView | undefined {
    return this.#views.get(id)
  }

  views(): readonly NodeView[] {
    return [...this.#views.values()]
  }

  party(id: string): Party {
    const view = this.#views.get(id)
    return view
      ? { id, host: view.host, port: view.port, name: calledBy(view) }
      : { id, host: '', port: 0, name: id }
  }

  keysOn(id: string, slot: number): number {
    return this.evidence.keys.get(id)?.get(slot) ?? 0
  }

  /** Masters with keys of an open slot that a move has brought. */
  noted(slot: number): readonly string[] {
    return this.evidence.noted.get(slot) ?? []
  }

  /** Masters with keys of a slot besides its owner, those with most first. */
  holders(slot: number, owner?: string): string[] {
    return this.#masterIds()
      .filter((id) => id !== owner && this.keysOn(id, slot) > 0)
      .sort((a, b) => this.keysOn(b, slot) - this.keysOn(a, slot))
  }

  /** The ends of an open slot, its owner's last: once the others are closed, no client can be sent to them any more. */
  sides(slot: number, owner: string | undefined): Side[] {
    return this.#masterIds()
      .flatMap((id) => {
        const open = this.#open.get(id)?.get(slot)
        return open ? [{ ...open, node: this.party(id), owns: id === owner }] : []
      })
      .sort((a, b) => Number(a.owns) - Number(b.owns))
  }

  /** The master that owns the fewest slots. */
  leastLoaded(): string | undefined {
    const load = (id: string) => countIn(this.#views.get(id)?.slots ?? [])
    return this.#masterIds().sort((a, b) => load(a) - load(b))[0]
  }

  /** As the others list them, also those that are down. */
  replicasOf(id: string): NodeView[] {
    return this.views().filter(({ masterId }) => masterId === id)
  }

  /** Of those that do not answer, whoever may have keys that nobody has who does. A replica has no more than its master. */
  mayHaveKeys(): NodeView[] {
    return this.views().filter(
      ({ id, role, masterId }) => !this.isUp(id) && (role === 'master' || !this.isUp(masterId ?? '')),
    )
  }

  mastersDown(): NodeView[] {
    return this.views().filter(({ id, role }) => role === 'master' && !this.isUp(id))
  }

  #masterIds(): string[] {
    return this.masters.flatMap((each) => selfOf(each)?.id ?? [])
  }
}
