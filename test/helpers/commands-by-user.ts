import { randomUUID } from 'node:crypto'
import { Redis } from 'ioredis'
import type { Address } from '../../src/cluster/index.js'
import { eventually } from './behaviour/harness.js'

/** Containers whose subcommands have a right each. */
const CONTAINERS = ['client', 'cluster', 'pubsub', 'config', 'acl']

export interface Watch {
  /**
   * Runs `use`, and gives the commands that clients of queues have sent meanwhile, in the words of an access list; those that
   * their scripts called left out.
   */
  during(use: () => Promise<void>): Promise<ReadonlySet<string>>
  close(): void
}

/**
 * Watches by MONITOR what is really sent. It does not say who sent it, so one at a time: counted is what comes over sockets
 * that are called shardq. Commands for administration are not shown.
 */
export async function watchCommands(nodes: readonly Address[]): Promise<Watch> {
  const watched = await Promise.all(nodes.map(watchNode))
  return {
    async during(use) {
      await Promise.all(watched.map(({ take }) => take()))
      await use()
      const taken = await Promise.all(watched.map(({ take }) => take()))
      return new Set(taken.flatMap((commands) => [...commands]))
    },
    close() {
      for (const { close } of watched) close()
    },
  }
}

async function watchNode(node: Address) {
  const admin = new Redis({ ...node, protocol: 2 })
  const monitor = await admin.monitor()
  const ours = new Set<string>()
  const markers = new Set<string>()
  let commands = new Set<string>()
  monitor.on('monitor', (_: string, args: string[], source: string) => {
    const [name = '', second = ''] = args.map((arg) => arg.toLowerCase())
    const command = CONTAINERS.includes(name) ? `${name}|${second}` : name
    if (command === 'client|setname' && args[2] === 'shardq') ours.add(source)
    if (command === 'echo') markers.add(second)
    if (ours.has(source)) commands.add(command)
  })
  return {
    /** All until now: MONITOR is behind by no more than what is on its way. */
    async take(): Promise<Set<string>> {
      const marker = randomUUID()
      await admin.echo(marker)
      await eventually(() => {
        if (!markers.has(marker)) throw new Error('MONITOR is behind')
      })
      const taken = commands
      commands = new Set()
      return taken
    },
    close() {
      admin.disconnect()
      monitor.disconnect()
    },
  }
}
