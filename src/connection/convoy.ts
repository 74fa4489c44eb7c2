import { type AskedReplies, type Confirmation, sendAndAsk } from './confirmation.js'
import type { Node } from './node.js'
import { faultOfReply } from './replies.js'
import type { Command, Replies } from './socket.js'

/** Replies to one caller's commands, and whether what they wrote was confirmed. */
export type ConfirmedReplies =
  | { readonly ok: true; readonly replies: unknown[]; readonly confirmed: boolean }
  | Extract<Replies, { ok: false }>

interface Passenger {
  readonly commands: readonly Command[]
  readonly resolve: (outcome: ConfirmedReplies) => void
}

/**
 * Writes that wait for replicas, on one socket. WAIT holds up all that is sent behind it on its socket, so at most
 * one is under way: what comes meanwhile travels together behind the next one, and shares its answer. Without this
 * a replica that is gone costs the batches of a shard one time-out after the other; with it, one time-out in all,
 * since those that have not left yet are refused at once.
 */
export class Convoy {
  #waiting: Passenger[] = []
  #underWay = false

  constructor(
    private readonly node: Node,
    /** `waitMs`: what the server may take for the WAIT, beside the time for the commands. */
    private readonly send: (commands: readonly Command[], waitMs: number) => Promise<Replies>,
    private readonly confirmation: Confirmation,
  ) {}

  add(commands: readonly Command[]): Promise<ConfirmedReplies> {
    return new Promise((resolve) => {
      this.#waiting.push({ commands, resolve })
      if (!this.#underWay) void this.#depart()
    })
  }

  async #depart(): Promise<void> {
    this.#underWay = true
    // Batches for several partitions of this node are made in one breath; they leave together.
    await Promise.resolve()
    while (this.#waiting.length > 0) {
      const passengers = this.#waiting
      this.#waiting = []
      const commands = passengers.flatMap((passenger) => passenger.commands)
      const question = this.confirmation.ask(this.node, bytesOf(commands))
      this.#arrive(passengers, await sendAndAsk(commands, question, this.send))
    }
    this.#underWay = false
  }

  #arrive(passengers: readonly Passenger[], outcome: AskedReplies): void {
    if (!outcome.ok) {
      for (const { resolve } of passengers) resolve(outcome)
      return
    }
    const { confirmed } = outcome
    const denial = outcome.answers.find(
      (answer): answer is Error => answer instanceof Error && faultOfReply(answer).kind === 'denied',
    )
    if (denial) {
      // Not the same as a replica that is late: it will never be confirmed.
      this.#arrive(passengers, { ok: false, fault: { kind: 'denied', error: denial } })
      return
    }
    let at = 0
    for (const { commands, resolve } of passengers) {
      resolve({ ok: true, replies: outcome.replies.slice(at, at + commands.length), confirmed })
      at += commands.length
    }
    if (confirmed) return
    const error = new Error(`the writes before were not confirmed by the replicas of ${this.node.name}`)
    for (const { resolve } of this.#waiting.splice(0))
      resolve({ ok: false, fault: { kind: 'noreplicas', error } })
  }
}

/** About so many: texts of other than Latin characters are longer than this. */
function bytesOf(commands: readonly Command[]): number {
  let bytes = 0
  for (const command of commands)
    for (const word of command) if (typeof word !== 'number') bytes += word.length
  return bytes
}
