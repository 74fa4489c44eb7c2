import { NotConnectedError, QueueUnavailableError, ServerTooOldError, WrongModeError } from '../errors.js'
import { refusalOf } from '../rights/refusal.js'
import type { ScriptCall } from '../scripts/script.js'
import type { Confirmation } from './confirmation.js'
import type { ConfirmedReplies } from './convoy.js'
import { parseInfo } from './info.js'
import type { Lane, Node } from './node.js'
import type { ConnectionOptions } from './options.js'
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
/** Ms between tries of a call that may be repeated. */
const RETRY_MS = 50

/** Sends calls to whichever node serves their slot. The same for a cluster and for a single server. */
export class Connection {
  readonly topology: Topology
  readonly replicas: ReplicaStates
  readonly commandTimeoutMs: number
  readonly #connectTimeoutMs: number
  #stopped = false

  constructor(readonly options: ConnectionOptions) {
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
      },
      probeTimeoutMs: this.commandTimeoutMs,
    })
    this.replicas = new ReplicaStates(this.topology, this.commandTimeoutMs, () =>
      this.topology.emit('change'),
    )
  }

  /**
   * Finds the nodes; resolves once a seed has answered and knows of masters.
   * @throws AuthenticationError, TlsError, ServerTooOldError, WrongModeError as soon as a seed says so
   * @throws QueueUnavailableError if none has answered within `connectTimeoutMs`
   */
  async start(queue: string): Promise<void> {
    const deadline = performance.now() + this.#connectTimeoutMs
    const seeds = this.topology.nodes()
    try {
      for (;;) {
        const answers = await Promise.all(seeds.map((seed) => this.#greet(seed)))
        const refusal = answers.find((answer) => answer instanceof Error)
        const reached = answers.some((answer) => answer === true)
        // A slot without a master concerns only who has keys in it.
        if (reached && this.topology.masters().length > 0) break
        if (refusal) throw refusal
        if (performance.now() > deadline) {
          const names = seeds.map((seed) => seed.name).join(', ')
          const problem = reached
            ? `the cluster at ${names} has no master that serves slots; look with: shardq cluster status`
            : `none of ${names} answered within ${this.#connectTimeoutMs} ms; is it running? (shardq cluster status)`
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
        node.counters.redirects++
        this.topology.look()
        asking = fault.kind === 'ask'
        if (fault.address) node = this.topology.node(fault.address)
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
    options: { readonly lane: Lane; readonly timeoutMs: number },
  ): Promise<{ value: Value; resent: boolean; node: Node }> {
    return this.#persist(queue, options.timeoutMs, () => this.attempt(slot, call, options))
  }

  /** Plain commands to the owner of a slot, on the same terms as `call`. An error reply throws. */
  async commands(
    queue: string,
    slot: number,
    commands: readonly Command[],
    options: { readonly lane: Lane; readonly timeoutMs: number },
  ): Promise<unknown[]> {
    const { value } = await this.#persist(queue, options.timeoutMs, async (): Promise<Outcome<unknown[]>> => {
      const node = this.#nodeFor(slot, options.lane)
      if (!node) return { ok: false, fault: noOwner(slot), node }
      const outcome = await node.send(options.lane, 0, commands, this.commandTimeoutMs)
      if (!outcome.ok) return this.#failed(outcome.fault, node)
      const error = outcome.replies.find((reply): reply is Error => reply instanceof Error)
      if (error) return this.#failed(faultOfReply(error), node)
      return { ok: true, value: outcome.replies, node, confirmed: true }
    })
    return value
  }

  async #persist<Value>(
    queue: string,
    timeoutMs: number,
    attempt: () => Promise<Outcome<Value>>,
  ): Promise<{ value: Value; resent: boolean; node: Node }> {
    const deadline = performance.now() + timeoutMs
    let resent = false
    for (;;) {
      const outcome = await attempt()
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
    if (concernsTopology(fault)) this.topology.look()
    return { ok: false, fault, node }
  }

  /** true: reached; an Error: reached, and it will not do; false: not reached. */
  async #greet(seed: Node): Promise<boolean | Error> {
    const outcome = await seed.send('probe', 0, [['INFO', 'server']], this.commandTimeoutMs)
    if (!outcome.ok) return (await this.#refusal(seed, outcome.fault)) ?? false
    const [info] = outcome.replies
    if (info instanceof Error) {
      const fault = faultOfReply(info)
      return fault.kind === 'denied' && refusalOf(seed.name, info)
    }
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
    return tlsBehind({ address: seed.address, tls, timeoutMs: this.commandTimeoutMs }, error)
  }
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
