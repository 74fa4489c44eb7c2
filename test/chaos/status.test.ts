import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ClusterPicture, LocalCluster, NodePicture } from '../../src/cluster/index.js'
import { NodeLink } from '../../src/cluster/link.js'
import { eventually } from '../helpers/behaviour/harness.js'
import { shardq, signalOnce } from '../helpers/cli.js'
import { tell } from '../helpers/nodes.js'
import { openCluster } from '../helpers/own-cluster.js'
import { onTerminal } from '../helpers/terminal.js'

let cluster: LocalCluster
let dispose: () => Promise<void>
beforeAll(async () => {
  ;({ cluster, dispose } = await openCluster())
})
afterAll(() => dispose?.())

const where = () => ['--data-dir', cluster.dataDir]

async function picture(...args: string[]): Promise<ClusterPicture> {
  const { code, stdout, stderr } = await shardq(['cluster', 'status', ...where(), ...args, '--json'])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return JSON.parse(stdout) as ClusterPicture
}

const nodeOf = ({ nodes }: ClusterPicture, port: number): NodePicture => {
  const node = nodes.find((each) => each.port === port)
  if (!node) throw new Error(`no node ${port}`)
  return node
}

const roles = async () => {
  const { nodes } = await cluster.status()
  const master = nodes.find(({ role }) => role === 'master')
  const replica = nodes.find(({ masterId }) => masterId === master?.id)
  if (!master || !replica) throw new Error('no shard')
  return { master, replica }
}

it('whole: every node up, linked, with its load', async () => {
  const seen = await picture()
  expect(seen).toMatchObject({ state: 'ok', answered: 6, differences: [], openSlots: [], strangers: [] })
  for (const node of seen.nodes) {
    expect(node).toMatchObject({ up: true, error: null, flags: [], linkState: 'connected' })
    expect(node.memoryUsedBytes).toBeGreaterThan(0)
    expect(node.clients).toBeGreaterThan(0)
    if (node.role === 'replica') expect(node.replication).toBe('up')
  }
})

it('a replica whose link is down, and since when', async () => {
  const { master, replica } = await roles()
  // A password that its replica does not know.
  await tell(master.port, 'CONFIG', 'SET', 'requirepass', 'secret')
  try {
    // Those who are linked stay so until the link breaks.
    await tell(replica.port, 'CLIENT', 'KILL', 'TYPE', 'master')
    const node = await eventually(async () => {
      const found = nodeOf(await picture(), replica.port)
      expect(found.replication).toBe('down')
      return found
    }, 10_000)
    expect(node).toMatchObject({ up: true, lagBytes: null, lagSeconds: expect.any(Number) })
  } finally {
    await dismiss(master.port)
  }
  await cluster.waitUntilReady({ writes: false })
})

/** Of its password. */
async function dismiss(port: number): Promise<void> {
  const link = await NodeLink.open({ host: '127.0.0.1', port }, { password: 'secret' })
  await link.text('CONFIG', 'SET', 'requirepass', '')
  link.close()
}

it('a node that is frozen costs the time-out, and is shown as down', async () => {
  const { master } = await roles()
  await cluster.freezeNode(master.port)
  try {
    const startedMs = performance.now()
    const seen = await picture('--timeout-ms', '300')
    expect(performance.now() - startedMs).toBeLessThan(5_000)
    expect(nodeOf(seen, master.port)).toMatchObject({ up: false, error: expect.any(String), clients: null })
    expect(seen.answered).toBe(5)
  } finally {
    await cluster.resumeNode(master.port)
  }
  await cluster.waitUntilReady({ writes: false })
})

it('a master that was killed: down before the failover, and after it beneath its replica', async () => {
  const { master, replica } = await roles()
  await cluster.killNode(master.port)
  const before = await picture()
  expect(nodeOf(before, master.port)).toMatchObject({
    up: false,
    error: expect.stringContaining('ECONNREFUSED'),
  })
  const after = await eventually(async () => {
    const seen = await picture()
    expect(nodeOf(seen, replica.port).role).toBe('master')
    expect(nodeOf(seen, master.port).flags).toContain('fail')
    expect(seen.state).toBe('ok')
    return seen
  }, 15_000)
  expect(after.answered).toBe(5)
  const text = await shardq(['cluster', 'status', ...where()])
  expect(text.stdout).toContain('nodes 6, 5 answer')
  expect(text.stdout).toContain(`127.0.0.1:${master.port} does not answer`)
  await cluster.restartNode(master.port)
  await cluster.waitUntilReady({ writes: false })
  expect(nodeOf(await picture(), master.port)).toMatchObject({ role: 'replica', up: true, replication: 'up' })
}, 40_000)

describe('--watch', () => {
  it('--json: one document per line, until Ctrl-C, which is no failure', async () => {
    const result = await shardq(['cluster', 'status', ...where(), '--watch', '1', '--json'], {
      onSpawn: signalOnce('SIGINT', (stdout) => stdout.split('\n').length > 2),
    })
    expect(result).toMatchObject({ code: 0, stderr: '' })
    const documents = result.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as ClusterPicture)
    expect(documents.length).toBeGreaterThanOrEqual(2)
    expect(documents[1]?.atMs).toBeGreaterThan(documents[0]?.atMs ?? 0)
  })

  it('on a pipe: one picture after the other, without colours', async () => {
    const result = await shardq(['cluster', 'status', ...where(), '--watch', '1'], {
      onSpawn: signalOnce('SIGTERM', (stdout) => stdout.split('state ok').length > 2),
    })
    expect(result).toMatchObject({ code: 0, stderr: '' })
    expect(result.stdout.includes('\u001b')).toBe(false)
  })

  it('goes on while nobody answers, since that is what one watches for', async () => {
    const result = await shardq(['cluster', 'status', '--node', '127.0.0.1:1', '--watch', '1', '--json'], {
      onSpawn: signalOnce('SIGINT', (stdout) => stdout.split('\n').length > 2),
    })
    expect(result).toMatchObject({ code: 0, stderr: '' })
    expect(JSON.parse(result.stdout.split('\n')[0] ?? '')).toMatchObject({
      error: { name: 'NodeUnreachableError' },
    })
  })

  it('on a terminal: drawn over in place, within its width, the cursor given back', async () => {
    const args = ['cluster', 'status', '--data-dir', cluster.dataDir, '--watch', '1']
    const terminal = onTerminal(args, { columns: 70 })
    await eventually(
      () => expect(terminal.text.split('Ctrl-C ends it').length).toBeGreaterThanOrEqual(4),
      15_000,
    )
    terminal.type('\u0003')
    const code = await terminal.closed
    const { text } = terminal
    expect(code).toBe(0)
    expect(text).toContain('\u001b[?25l')
    expect(text.lastIndexOf('\u001b[?25h')).toBeGreaterThan(text.lastIndexOf('\u001b[?25l'))
    // Only what has changed is drawn again.
    expect(text.split('│ node').length - 1).toBe(1)
    const first = text.slice(0, text.indexOf('Ctrl-C ends it'))
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
    for (const line of first.replaceAll(/\u001b\[[?0-9;]*[a-zA-Z]/g, '').split('\r\n'))
      expect([...line].length, line).toBeLessThanOrEqual(70)
  })
})
