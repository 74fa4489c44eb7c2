import {
  AuthenticationError,
  NotConnectedError,
  PasswordNotNeededError,
  QueueUnavailableError,
  ServerTooOldError,
  TlsError,
  WrongModeError,
} from '../errors.js'
import { refusalOf } from '../rights/refusal.js'
import type { ScriptCall } from '../scripts/script.js'
import type { Confirmation } from './confirmation.js'
import type { ConfirmedReplies } from './convoy.js'
import { tlsFor } from './endpoint.js'
import { parseInfo } from './info.js'
import type { Lane, Node } from './node.js'
import type { ConnectionOptions } from './options.js'
import { RateLimit } from './rate-limit.js'
import { ReplicaStates } from './replica-states.js'
import { concernsTopology, type Fault, faultOfReply, isCertain } from './replies.js'
import type { Command } from './socket.js'
import { resolveTarget } from './target.js'
import { tlsBehind } from './tls-fault.js'
import { Topology } from './topology.js'

export type Outcome<Value> =
  | { readonly ok: true; readonly value: Value; readonly node: Node; readonly confirmed: boolean }
  | { readonly ok: false; readonly fault: Fault; readonly node: Node | undefined }

export type { Confirmation } from './confirmation.js'

export interface CallOptions {
  readonly lane: Lane
  /** Which of the lane's sockets. Default 0. */
  readonly socket?: number
  readonly confirm?: Confirmation | undefined
}

const MOST_REDIRECTS = 3
/** Ms after which the same is noticed again. */
const NOTICE_MS = 60_000
/** Of so many seeds it is told why they did not answer. */
const MOST_TOLD = 5
/** Ms between tries of a call that may be repeated. */
const RETRY_MS = 50

/** Sends calls to whichever node serves their slot. The same for a cluster and for a single server. */
export class Connection {
  readonly topology: Topology
  readonly replicas: ReplicaStates
  readonly commandTimeoutMs: number
  readonly #connectTimeoutMs: number
  #stopped = false

  /** `onNotice` is told of what is odd, and keeps nothing from working; the same of one node at most once a minute. */
  constructor(
    readonly options: ConnectionOptions,
    onNotice: (notice: Error) => void = () => {},
  ) {
    const notices = new RateLimit(NOTICE_MS)
    let passwordNoticed = false
    const notice = (error: Error) => {
      const { node = '' } = error as Error & { node?: string }
      // That no password is needed is so on all nodes, and as long as it is so.
      if (error instanceof PasswordNotNeededError) {
        if (passwordNoticed) return
        passwordNoticed = true
      }
      if (notices.admits(`${error.name} ${node}`)) onNotice(error)
    }
    this.commandTimeoutMs = options.commandTimeoutMs ?? 1_000
    this.#connectTimeoutMs = options.connectTimeoutMs ?? 5_000
    const target = resolveTarget(options)
    this.topology = new Topology({
      mode: options.mode,
      seeds: target.seeds,
      natMap: options.mode === 'cluster' ? (options.natMap ?? {}) : {},
      socket: {
        username: target.username,
        password: target.password,
        tls: target.tls,
        connectTimeoutMs: Math.min(this.commandTimeoutMs, this.#connectTimeoutMs),
        onNotice: notice,
      },
      probeTimeoutMs: this.commandTimeoutMs,
      onNotice: notice,
    })
    this.replicas = new ReplicaStates(this.topology, this.commandTimeoutMs, () =>
      this.topology.emit('change'),
    )
  }

  /**
   * Finds the nodes; resolves once a seed has answered and knows of masters.
   * @throws AuthenticationError, TlsError, ServerTooOldError, WrongModeError as soon as a seed says so
   * @throws QueueUnavailableError if none has answered within `connectTimeoutMs`; it says of each why not
   */
  async start(queue: string): Promise<void> {
    const deadline = performance.now() + this.#connectTimeoutMs
    const seeds = this.topology.nodes()
    try {
      for (;;) {
        const answers = await Promise.all(seeds.map((seed) => this.#greet(seed)))
        const refusal = answers.find((answer) => answer instanceof Error && isLasting(answer))
        const reached = answers.some((answer) => answer === true)
        // A slot without a master concerns only who has keys in it.
        if (reached && this.topology.masters().length > 0) break
        if (refusal) throw refusal
        if (performance.now() > deadline) {
          if (!reached) throw unanswered(queue, seeds, answers, this.#connectTimeoutMs)
          const names = seeds.map((seed) => seed.name).join(', ')
          const problem = `the cluster at ${names} has no master that serves slots; look with: shardq cluster status`
          throw new QueueUnavailableError(queue, problem)
        }
        await sleep(RETRY_MS)
      }
    } catch (error) {
      this.stop()
      throw error
    }
    this.topology.start()
  }

  get stopped(): boolean {
    return this.#stopped
  }

  stop(): void {
    this.#stopped = true
    this.topology.stop()
  }

  /** Whether the slot has an owner that counts as alive. */
  serves(slot: number): boolean {
    return this.topology.ownerOf(slot)?.up === true
  }

  /** Sends a call once, following redirects. What went wrong is for the caller to judge. */
  async attempt<Value>(slot: number, call: ScriptCall<Value>, options: CallOptions): Promise<Outcome<Value>> {
    const keysAndArgs = [call.keys.length, ...call.keys, ...call.args]
    // The read-only form is what a replica accepts, and a script that writes is refused in it.
    const suffix = options.lane === 'read' ? '_RO' : ''
    let command: Command = [`EVALSHA${suffix}`, call.script.sha, ...keysAndArgs]
    let node = this.#nodeFor(slot, options.lane)
    let asking = false
    for (let redirects = 0; ; ) {
      if (!node) return { ok: false, fault: noOwner(slot), node: undefined }
      const commands: Command[] = [...(asking ? [['ASKING'] as const] : []), command]
      const outcome: ConfirmedReplies = await this.#sendTo(node, commands, options)
      if (!outcome.ok) return this.#failed(outcome.fault, node)
      const reply = outcome.replies[asking ? 1 : 0]
      if (!(reply instanceof Error)) {
        try {
          return { ok: true, value: call.parse(reply), node, confirmed: outcome.confirmed }
        } catch (error) {
          return this.#failed({ kind: 'rejected', error: error as Error }, node)
        }
      }
      const fault = faultOfReply(reply)
      if (fault.kind === 'noscript' && command[0] === `EVALSHA${suffix}`) {
        command = [`EVAL${suffix}`, call.script.source, ...keysAndArgs]
      } else if ((fault.kind === 'moved' || fault.kind === 'ask') && redirects < MOST_REDIRECTS) {
        redirects++
        asking = fault.kind === 'ask'
        node = this.#redirected(node, fault)
      } else {
        return this.#failed(fault, node)
      }
    }
  }

  /**
   * Sends a call that may safely be carried out twice, until it succeeds or `timeoutMs` is over. `resent`: an earlier
   * try may have been carried out too.
   * @throws QueueUnavailableError with the last fault as cause
   */
  async call<Value>(
    queue: string,
    slot: number,
    call: ScriptCall<Value>,
    options: {
      readonly lane: Lane
      readonly timeoutMs: number
      /** Awaited before each try; `resent`: one before may have been carried out. */
      readonly before?: ((resent: boolean) => Promise<void> | undefined) | undefined
    },
  ): Promise<{ value: Value; resent: boolean; node: Node }> {
    const { before } = options
    return this.#persist(queue, options.timeoutMs, async (resent) => {
      if (before) await before(resent)
      return this.attempt(slot, call, options)
    })
  }

  /** Plain commands to the owner of a slot, on the same terms as `call`, redirects included. An error reply throws. */
  async commands(
    queue: string,
    slot: number,
    commands: readonly Command[],
    options: { readonly lane: Lane; readonly timeoutMs: number },
  ): Promise<unknown[]> {
    const { value } = await this.#persist(queue, options.timeoutMs, () =>
      this.#tryCommands(slot, commands, options.lane),
    )
    return value
  }

  async #tryCommands(slot: number, commands: readonly Command[], lane: Lane): Promise<Outcome<unknown[]>> {
    let node = this.#nodeFor(slot, lane)
    let asking = false
    for (let redirects = 0; ; redirects++) {
      if (!node) return { ok: false, fault: noOwner(slot), node }
      // ASKING holds for the one command behind it.
      const sent = asking ? commands.flatMap((command) => [['ASKING'] as const, command]) : commands
      const outcome = await node.send(lane, 0, sent, this.commandTimeoutMs)
      if (!outcome.ok) return this.#failed(outcome.fault, node)
      const replies = asking ? outcome.replies.filter((_, i) => i % 2 === 1) : outcome.replies
      const error = replies.find((reply): reply is Error => reply instanceof Error)
      if (!error) return { ok: true, value: replies, node, confirmed: true }
      const fault = faultOfReply(error)
      if ((fault.kind !== 'moved' && fault.kind !== 'ask') || redirects === MOST_REDIRECTS)
        return this.#failed(fault, node)
      asking = fault.kind === 'ask'
      node = this.#redirected(node, fault)
    }
  }

  /** Who is to be asked in place of `node`, which is asked at once whether it serves the slot no longer. */
  #redirected(node: Node, { address }: Extract<Fault, { kind: 'moved' | 'ask' }>): Node {
    node.counters.redirects++
    this.topology.look(node)
    if (!address) return node
    return this.topology.node(address.host === '' ? { ...address, host: node.address.host } : address)
  }

  async #persist<Value>(
    queue: string,
    timeoutMs: number,
    attempt: (resent: boolean) => Promise<Outcome<Value>>,
  ): Promise<{ value: Value; resent: boolean; node: Node }> {
    const deadline = performance.now() + timeoutMs
    let resent = false
    for (;;) {
      const outcome = await attempt(resent)
      if (outcome.ok) return { value: outcome.value, resent, node: outcome.node }
      const { fault } = outcome
      if (!isCertain(fault)) resent = true
      if (fault.kind === 'rejected') throw fault.error
      if (fault.kind === 'denied') throw refusalOf(outcome.node?.name ?? '?', fault.error)
      if (this.#stopped) throw new NotConnectedError(queue)
      if (performance.now() + RETRY_MS > deadline) {
        throw new QueueUnavailableError(queue, `no answer within ${timeoutMs} ms: ${fault.error.message}`, {
          cause: fault.error,
        })
      }
      await sleep(RETRY_MS)
    }
  }

  async #sendTo(
    node: Node,
    commands: readonly Command[],
    { lane, socket = 0, confirm }: CallOptions,
  ): Promise<ConfirmedReplies> {
    if (confirm) return node.sendConfirmed(lane, socket, commands, confirm, this.commandTimeoutMs)
    const outcome = await node.send(lane, socket, commands, this.commandTimeoutMs)
    return outcome.ok ? { ...outcome, confirmed: true } : outcome
  }

  #nodeFor(slot: number, lane: Lane): Node | undefined {
    const owner = this.topology.ownerOf(slot)
    if (lane !== 'read' || !owner) return owner
    return this.topology.replicasOf(owner).find((replica) => replica.up) ?? owner
  }

  #failed(fault: Fault, node: Node): { ok: false; fault: Fault; node: Node } {
    if (concernsTopology(fault)) this.topology.look(node)
    return { ok: false, fault, node }
  }

  /** true: reached; an Error: why it was not, or will not do. */
  async #greet(seed: Node): Promise<true | Error> {
    const outcome = await seed.send('probe', 0, [['INFO', 'server']], this.commandTimeoutMs)
    if (!outcome.ok) return (await this.#refusal(seed, outcome.fault)) ?? outcome.fault.error
    const [info] = outcome.replies
    if (info instanceof Error) return faultOfReply(info).kind === 'denied' ? refusalOf(seed.name, info) : info
    const fields = parseInfo(String(info))
    const tooOld = oldVersion(fields)
    if (tooOld !== undefined) return new ServerTooOldError(seed.name, tooOld)
    // Valkey calls it otherwise, unless its extended-redis-compatibility is on.
    const mode = (fields.get('redis_mode') ?? fields.get('server_mode')) === 'cluster' ? 'cluster' : 'single'
    if (mode !== this.options.mode) return new WrongModeError(seed.name, this.options.mode)
    return this.topology.ask(seed)
  }

  /** What will be the same the next time: asking again would only hold up the caller. */
  async #refusal(seed: Node, { kind, error }: Fault): Promise<Error | undefined> {
    if (kind === 'denied') return refusalOf(seed.name, error)
    const { tls } = resolveTarget(this.options)
    const party = { address: seed.address, tls: tlsFor(seed.address, tls), timeoutMs: this.commandTimeoutMs }
    return tlsBehind(party, error)
  }
}

/** Whether asking again would only hold up the caller. */
function isLasting(error: Error): boolean {
  return [AuthenticationError, TlsError, ServerTooOldError, WrongModeError].some(
    (type) => error instanceof type,
  )
}

/** Why a queue cannot begin, seed by seed. */
function unanswered(
  queue: string,
  seeds: readonly Node[],
  answers: readonly (true | Error)[],
  timeoutMs: number,
): QueueUnavailableError {
  const reasons = answers.filter((answer): answer is Error => answer instanceof Error)
  const told = seeds.map(({ name }, i) => {
    const answer = answers[i]
    const text = answer instanceof Error ? answer.message : 'no answer'
    return text.includes(name) ? text : `${name}: ${text}`
  })
  const shown = [
    ...told.slice(0, MOST_TOLD),
    ...(told.length > MOST_TOLD ? [`${told.length - MOST_TOLD} more`] : []),
  ]
  const problem = `no node answered within ${timeoutMs} ms: ${shown.join('; ')}. Is it running? (shardq cluster status)`
  const cause = reasons.length === 1 ? reasons[0] : new AggregateError(reasons, 'why no node answered')
  return new QueueUnavailableError(queue, problem, { cause })
}

/** The server's name and version if it is too old for us. */
function oldVersion(info: ReadonlyMap<string, string>): string | undefined {
  const valkey = info.get('valkey_version')
  const version = valkey ?? info.get('redis_version') ?? '0'
  const least = valkey === undefined ? 7 : 8
  return Number.parseInt(version, 10) >= least
    ? undefined
    : `${valkey === undefined ? 'Redis' : 'Valkey'} ${version}`
}

function noOwner(slot: number): Fault {
  return { kind: 'unreachable', error: new Error(`no master serves slot ${slot}`) }
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
