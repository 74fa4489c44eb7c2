import { type Address, inspectAny, type LinkOptions } from '../cluster/index.js'
import { NodeLink } from '../cluster/link.js'
import type { ConnectionOptions } from '../connection/options.js'
import { accessOf, resolveTarget } from '../connection/target.js'

/** CPU time that the servers have used, in microseconds, and the memory of the masters in bytes. */
export interface ServerState {
  readonly mastersUs: number
  readonly replicasUs: number
  readonly mastersBytes: number
  /** Commands that the masters have had, without INFO and what replication itself sends. */
  readonly commands: number
}

/** What the servers themselves say they have used (INFO cpu, INFO memory). */
export class Servers {
  private constructor(private readonly links: readonly NodeLink[]) {}

  /** @throws NodeUnreachableError, AuthenticationError */
  static async of(connection: ConnectionOptions): Promise<Servers> {
    const access = patientAccessOf(connection)
    const links: NodeLink[] = []
    try {
      for (const node of await nodesOf(connection, access)) links.push(await NodeLink.open(node, access))
    } catch (error) {
      for (const link of links) link.close()
      throw error
    }
    return new Servers(links)
  }

  async state(): Promise<ServerState> {
    const state = { mastersUs: 0, replicasUs: 0, mastersBytes: 0, commands: 0 }
    const texts = await Promise.all(this.links.map((link) => link.text('INFO', 'everything')))
    for (const text of texts) {
      const field = (name: string) => Number(new RegExp(`^${name}:(.*)$`, 'm').exec(text)?.[1] ?? 0)
      const cpuUs = (field('used_cpu_user') + field('used_cpu_sys')) * 1e6
      if (/^role:master/m.test(text)) {
        state.mastersUs += cpuUs
        state.mastersBytes += field('used_memory')
        state.commands += commandsIn(text)
      } else {
        state.replicasUs += cpuUs
      }
    }
    return state
  }

  close(): void {
    for (const link of this.links) link.close()
  }
}

function commandsIn(info: string): number {
  let calls = 0
  for (const [, name = '', count] of info.matchAll(/^cmdstat_(\S+?):calls=(\d+)/gm)) {
    if (!['info', 'ping', 'replconf'].includes(name)) calls += Number(count)
  }
  return calls
}

/** A benchmark keeps servers busy; they may take their time to answer. */
const TIMEOUT_MS = 10_000

export function patientAccessOf(connection: ConnectionOptions): LinkOptions {
  return { timeoutMs: TIMEOUT_MS, ...accessOf(connection) }
}

async function nodesOf(connection: ConnectionOptions, access: LinkOptions): Promise<readonly Address[]> {
  if (connection.mode === 'single') return resolveTarget(connection).seeds
  return (await inspectAny(connection.nodes, access)).nodes
}
