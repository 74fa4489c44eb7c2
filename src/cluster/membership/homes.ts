import type { NodeView } from '../replies.js'
import { countIn } from '../slots.js'

/**
 * The master that needs a replica most: which has the fewest, of these one on another host than the replica, of these the one with
 * most slots. Undefined: there is none.
 */
export function neediestMaster(
  nodes: readonly NodeView[],
  replica: { readonly host: string },
  except: ReadonlySet<string> = new Set(),
): NodeView | undefined {
  const replicas = (master: NodeView) => nodes.filter(({ masterId }) => masterId === master.id).length
  const sameHost = (master: NodeView) => Number(master.host === replica.host)
  return nodes
    .filter(({ id, role, flags }) => role === 'master' && !except.has(id) && !flags.includes('fail'))
    .sort(
      (a, b) =>
        replicas(a) - replicas(b) ||
        sameHost(a) - sameHost(b) ||
        countIn(b.slots) - countIn(a.slots) ||
        a.port - b.port,
    )[0]
}
