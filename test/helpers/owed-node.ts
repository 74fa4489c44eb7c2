import { expect } from 'vitest'
import type { LocalCluster, NodeView } from '../../src/cluster/index.js'
import { withLink } from '../../src/cluster/link.js'
import { KeyLink } from '../../src/cluster/operation/key-link.js'
import { filesOf } from '../../src/cluster/owed/files.js'
import { OWED_KEY } from '../../src/cluster/own-keys.js'
import { parseFields } from '../../src/cluster/replies.js'
import { eventually } from './behaviour/harness.js'
import { tell } from './nodes.js'
import { openCluster } from './own-cluster.js'

/** A replica that nobody has told anything since it was started, as a restart that was cut off leaves it. */
export interface OwedNode {
  readonly cluster: LocalCluster
  readonly node: NodeView
  /** The only note of what nodes are owed: of this one, with what is given in place of nothing. */
  owe(told: { settings?: Record<string, string>; users?: readonly string[] }): Promise<void>
  /** Names of the notes that there are. */
  notes(): Promise<string[]>
  dispose(): Promise<void>
}

export async function openOwedNode(): Promise<OwedNode> {
  const { cluster, dispose } = await openCluster()
  const node = (await cluster.status()).nodes.find(({ role }) => role === 'replica')
  if (!node) throw new Error('no replica')
  await cluster.killNode(node.port)
  await cluster.restartNode(node.port)
  const mark = await withLink(node, {}, async (link) => {
    return (await filesOf(link, parseFields(await link.text('INFO', 'server'))))?.mark
  })
  if (mark === undefined) throw new Error(`the files of ${node.port} cannot be read`)
  await eventually(async () => {
    expect(await tell(node.port, 'INFO', 'replication')).toContain('master_link_status:up')
  }, 15_000)
  return {
    cluster,
    node,
    owe: ({ settings = {}, users = [] }) =>
      writeNote(cluster, `restarted ${node.id}`, {
        ...RESTARTED,
        id: node.id,
        files: mark,
        settings,
        users,
      }),
    notes: () => atNotes(cluster, async (link) => (await link.call(WAIT, 'HKEYS', OWED_KEY)) as string[]),
    dispose,
  }
}

/** All that a note needs, of a node that lost nothing. */
export const RESTARTED = {
  kind: 'restarted',
  operation: 'rolling-restart',
  run: 'another process',
  server: null,
  settings: {},
  byDefault: null,
  secrets: [],
  users: [],
}

/** In place of all that there are. */
export const writeNote = (cluster: LocalCluster, field: string, note: unknown) =>
  atNotes(cluster, async (link) => {
    await link.call(WAIT, 'DEL', OWED_KEY)
    await link.call(WAIT, 'HSET', OWED_KEY, field, typeof note === 'string' ? note : JSON.stringify(note))
  })

const WAIT = { timeoutMs: 5_000 }

export async function atNotes<T>(cluster: LocalCluster, use: (link: KeyLink) => Promise<T>): Promise<T> {
  const link = new KeyLink(cluster.seeds, {})
  try {
    return await use(link)
  } finally {
    link.close()
  }
}
