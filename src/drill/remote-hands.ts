import { setTimeout as sleep } from 'node:timers/promises'
import { NodeUnreachableError, type NodeView, nameOf } from '../cluster/index.js'
import { NodeLink, withLink } from '../cluster/link.js'
import { mustPermit } from '../cluster/permitted.js'
import { askToEnd } from '../cluster/shutdown.js'
import { DrillNotPermittedError } from './errors.js'
import type { Hands } from './hands.js'
import type { DrillKind } from './options.js'
import type { Repairs } from './repairs.js'
import type { Target } from './target.js'

/** How long a node that was shut down is given to come back; systemd's usual delay is 0.1 s, many set 5 to 10 s. */
const COME_BACK_MS = 30_000
const RETRY_MS = 100
/** On top of the sleep itself, until the node counts as unreachable. */
const WAKE_MS = 5_000

const COMES_BACK = `comes back only if a service manager starts it (waits up to ${COME_BACK_MS / 1000} s for it)`

/** On hosts that are not ours: only what Redis itself can be asked for. */
export class RemoteHands implements Hands {
  readonly words: Hands['words'] = {
    kill: (node) => `SHUTDOWN NOSAVE NOW FORCE to ${nameOf(node)}, which ${COMES_BACK}`,
    end: (node) => `SHUTDOWN to ${nameOf(node)}, which ${COMES_BACK}`,
    start: (node) => `wait until ${nameOf(node)} was started again by its service manager`,
    freeze: (node) => `DEBUG SLEEP to ${nameOf(node)}`,
    resume: (node) => `wait until ${nameOf(node)} has slept enough`,
  }
  readonly #asleep = new Map<string, () => Promise<void>>()

  constructor(
    private readonly target: Pick<Target, 'access' | 'addressOf' | 'shard'>,
    private readonly repairs: Repairs,
  ) {}

  async check(kind: DrillKind, nodes: readonly NodeView[]): Promise<void> {
    const { access, addressOf, shard } = this.target
    const asked = [shard.master, ...shard.replicas].map(addressOf)
    // Keys that are left of the queue are found slot by slot.
    const needed = ['CLUSTER COUNTKEYSINSLOT', kind === 'failover' ? 'CLUSTER FAILOVER' : 'SHUTDOWN'] as const
    if (kind !== 'freeze' && kind !== 'replica-lag')
      return mustPermit(asked, access, `cluster drill --kind ${kind}`, needed)
    for (const node of nodes) {
      try {
        await this.#with(node, (link) => link.text('DEBUG', 'SLEEP', 0))
      } catch (cause) {
        if (cause instanceof NodeUnreachableError) throw cause
        const setting = 'DEBUG SLEEP (enable-debug-command yes, or local; and +debug for the ACL user)'
        throw new DrillNotPermittedError(kind, nameOf(node), setting, { cause })
      }
    }
  }

  async kill(node: NodeView): Promise<void> {
    await askToEnd(this.target.addressOf(node), this.target.access, ['NOSAVE', 'NOW', 'FORCE'])
  }

  async end(node: NodeView): Promise<void> {
    await askToEnd(this.target.addressOf(node), this.target.access)
  }

  async start(node: NodeView): Promise<boolean> {
    const deadline = performance.now() + COME_BACK_MS
    while (performance.now() < deadline) {
      try {
        await this.#with(node, (link) => link.text('PING'))
        return true
      } catch {
        await sleep(RETRY_MS) // not there, or still loading
      }
    }
    return false
  }

  async freeze(node: NodeView, forMs: number): Promise<void> {
    const { access, addressOf } = this.target
    const link = await NodeLink.open(addressOf(node), { ...access, timeoutMs: forMs + WAKE_MS })
    // Answered only when it wakes. A failure is kept for `resume`, which somebody awaits.
    const slept = link.text('DEBUG', 'SLEEP', (forMs / 1000).toFixed(3)).then(
      () => null,
      (error: Error) => error,
    )
    const wake = async () => {
      const error = await slept
      link.close()
      if (error) throw error
    }
    const what = `${nameOf(node)} was sent to sleep for ${forMs} ms and has not answered since`
    this.#asleep.set(node.id, this.repairs.owe(what, wake))
  }

  async resume(node: NodeView): Promise<void> {
    await this.#asleep.get(node.id)?.()
  }

  #with<T>(node: NodeView, use: (link: NodeLink) => Promise<T>): Promise<T> {
    return withLink(this.target.addressOf(node), this.target.access, use)
  }
}
