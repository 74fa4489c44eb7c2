import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { type Manifest, readManifest, writeManifest } from '../../../src/cluster/data-dir.js'
import {
  type AddReport,
  addLocalNodes,
  addNodes,
  ensureServer,
  type LocalCluster,
  NodeRefusedError,
  type NodeView,
  OperationInProgressError,
  OperationLostError,
  PlanChangedError,
  planFix,
  planLocalRemoval,
  planRebalance,
  planRemoval,
  planRolling,
  startCluster,
  withOperation,
} from '../../../src/cluster/index.js'
import { makeNote } from '../../../src/cluster/operation/holder.js'
import { KeyLink } from '../../../src/cluster/operation/key-link.js'
import { OPERATION_KEY } from '../../../src/cluster/own-keys.js'
import { slotOf, tagForSlot } from '../../../src/keys/slots.js'
import { bareServers } from '../../helpers/bare-servers.js'
import { eventually } from '../../helpers/behaviour/harness.js'
import { owns, tell } from '../../helpers/nodes.js'
import { ownCluster } from '../../helpers/own-cluster.js'
import { tempDir } from '../../helpers/temp-dir.js'
import { until } from '../../helpers/until.js'

/** Sequences of events in which an operation acted on the word of an old look, or without its lock, and destroyed what it did not know. */

const GONE = { pid: 999_999, stamp: 'gone' }
const SMALL = { replicasPerMaster: 0 }
const portOf = (node: string) => Number(node.split(':').at(-1))
const assigned = async (port: number) => /slots_assigned:(\d+)/.exec(await tell(port, 'CLUSTER', 'INFO'))?.[1]
const servedBy = async (port: number) => /slots_ok:(\d+)/.exec(await tell(port, 'CLUSTER', 'INFO'))?.[1]

async function masters(cluster: LocalCluster): Promise<NodeView[]> {
  return (await cluster.status()).nodes.filter(({ role }) => role === 'master')
}

async function homeOf(cluster: LocalCluster, key: string): Promise<NodeView> {
  const home = (await masters(cluster)).find((node) => owns(node, slotOf(key)))
  if (!home) throw new Error(`nobody serves ${key}`)
  return home
}

const manifestOf = async (cluster: LocalCluster): Promise<Manifest> => {
  const manifest = await readManifest(cluster.dataDir)
  if (!manifest) throw new Error('no manifest')
  return manifest
}

/** As an add-node leaves it that was killed between the join of a node and its last word. */
async function markAsLeft(cluster: LocalCluster, port: number): Promise<void> {
  const manifest = await manifestOf(cluster)
  const ports = manifest.ports.filter((each) => each !== port)
  await writeManifest(cluster.dataDir, { ...manifest, ports, unsettled: { ports: [port], by: GONE } })
}

async function added(report: Promise<AddReport>) {
  const [node] = (await report).added
  if (!node) throw new Error('nothing was added')
  return node
}

const folderOf = (cluster: LocalCluster, port: number) => join(cluster.dataDir, `node_${port}`)

describe('fix', () => {
  it('gives no slot whose owner is down to somebody who has a part of it', async () => {
    const cluster = await ownCluster(SMALL)
    const [a, b] = await masters(cluster)
    if (!a || !b) throw new Error('no two masters')
    const slot = a.slots[0]?.[0] ?? 0
    const key = (i: number) => `{${tagForSlot(slot)}}${i}`
    for (let i = 0; i < 10; i++) await tell(a.port, 'SET', key(i), i)
    // Half of a move, and in another slot one old key.
    await tell(b.port, 'CLUSTER', 'SETSLOT', slot, 'IMPORTING', a.id)
    await tell(a.port, 'CLUSTER', 'SETSLOT', slot, 'MIGRATING', b.id)
    await tell(a.port, 'MIGRATE', b.host, b.port, '', 0, 5_000, 'KEYS', key(0), key(1), key(2))
    await cluster.killNode(a.port)
    const report = await (await planFix(cluster.seeds, { agreeMs: 2_000 })).run()
    expect(report.done.filter(({ kind }) => kind === 'assign')).toEqual([])
    expect(report.left.map(({ what }) => what).join()).toContain(`${a.port}, which does not answer`)
    await cluster.restartNode(a.port)
    await eventually(async () => expect(await servedBy(b.port)).toBe('16384'), 15_000)
    const after = await (await planFix(cluster.seeds)).run()
    expect(after).toMatchObject({ left: [], agreed: true })
    const counts = await Promise.all([a, b].map(({ port }) => tell(port, 'CLUSTER', 'COUNTKEYSINSLOT', slot)))
    expect(counts.map(Number).reduce((x, y) => x + y)).toBe(10)
  }, 60_000)

  it('waits for a lock whose node fails over, since its holder goes on', async () => {
    const cluster = await ownCluster({ settings: { 'cluster-node-timeout': '3000' } })
    const home = await homeOf(cluster, OPERATION_KEY)
    const [x, y] = (await masters(cluster)).filter(({ id }) => id !== home.id)
    if (!x || !y) throw new Error('no two other masters')
    const slot = x.slots[0]?.[0] ?? 0
    await withOperation(cluster.seeds, {}, { name: 'rebalance' }, undefined, async ({ mayCall }) => {
      await tell(y.port, 'CLUSTER', 'SETSLOT', slot, 'IMPORTING', x.id)
      await tell(x.port, 'CLUSTER', 'SETSLOT', slot, 'MIGRATING', y.id)
      await cluster.killNode(home.port)
      const fix = await planFix(cluster.seeds, { agreeMs: 1_000 })
      await expect(fix.run({ evenIfChanged: true })).rejects.toThrow(OperationInProgressError)
      mayCall()
    })
    expect(await tell(y.port, 'CLUSTER', 'NODES')).toContain(`[${slot}-<-${x.id}]`)
  }, 60_000)
})

describe('the lock', () => {
  it('of another machine with the same name, whose processes cannot be seen, is not taken over', async () => {
    const cluster = await ownCluster(SMALL)
    const { port } = await homeOf(cluster, OPERATION_KEY)
    const mine = JSON.parse(await makeNote('remove-node'))
    const boot = '11111111-2222-3333-4444-555555555555'
    const pids = String(mine.pids).replace(/^\S+/, boot)
    const theirs = { ...mine, pid: 4_711, stamp: `${boot}:4711`, token: 'x', pids }
    expect(pids).not.toBe(mine.pids)
    await tell(port, 'SET', OPERATION_KEY, JSON.stringify(theirs), 'PX', 20_000)
    const beside = withOperation(cluster.seeds, {}, { name: 'rebalance' }, undefined, async () => 'both')
    await expect(beside).rejects.toThrow(OperationInProgressError)
  })

  it('can be had where memory is full: what makes room is an operation too', async () => {
    const cluster = await ownCluster(SMALL)
    for (const { port } of cluster.seeds)
      await tell(port, 'CONFIG', 'SET', 'maxmemory', '1000000', 'maxmemory-policy', 'noeviction')
    expect(await withOperation(cluster.seeds, {}, { name: 'rebalance' }, undefined, async () => 'held')).toBe(
      'held',
    )
  })
})

describe('nodes on their way in or out', () => {
  it('a node that got slots while add-node stood still is not cleared away by it', async () => {
    const cluster = await ownCluster(SMALL)
    const script = fileURLToPath(new URL('../../helpers/processes/stopped-add.ts', import.meta.url))
    const child: ChildProcess = fork(script, [cluster.dataDir], { execArgv: ['--import', 'tsx'] })
    onTestFinished(() => void child.kill('SIGKILL'))
    const said: { name?: string }[] = []
    child.on('message', (message: { name?: string }) => said.push(message))
    await once(child, 'message')
    // By now it has stopped itself. Its lock runs out.
    await sleep(21_500)
    const [port = 0] = (await manifestOf(cluster)).unsettled?.ports ?? []
    const moved = await (await planRebalance(cluster.seeds, { leaveUnprotected: true })).run()
    expect(moved.slots).toBeGreaterThan(4_000)
    const exit = once(child, 'exit')
    child.kill('SIGCONT')
    await exit
    expect(said.at(-1)).toEqual({ name: OperationLostError.name })
    expect(existsSync(folderOf(cluster, port))).toBe(true)
    expect(await assigned(port)).toBe('16384')
    // What is to become of it is known by the next one.
    expect((await manifestOf(cluster)).unsettled?.ports).toEqual([port])
    await cluster.stop()
    await startCluster({ dataDir: cluster.dataDir })
    const { ports, unsettled } = await manifestOf(cluster)
    expect({ ports, unsettled }).toEqual({ ports: expect.arrayContaining([port]), unsettled: undefined })
    expect(await servedBy(port)).toBe('16384')
  }, 120_000)

  it('nothing is cleared away by up while nodes load their data, and one that has slots becomes a node', async () => {
    const cluster = await ownCluster({
      ...SMALL,
      settings: { 'key-load-delay': '10000', 'loading-process-events-interval-bytes': '1024' },
    })
    const { dataDir, seeds } = cluster
    const node = await added(addLocalNodes({ dataDir, masters: 1, replicasPerMaster: 0 }))
    const port = portOf(node.node)
    await (await planRebalance(seeds)).run()
    const ports = [...seeds.map((each) => each.port), port]
    for (const [i, each] of ports.entries()) {
      const slot = (await masters(cluster)).find((master) => master.port === each)?.slots[0]?.[0] ?? 0
      for (let k = 0; k < 100; k++)
        await tell(each, 'SET', `{${tagForSlot(slot)}}${i} ${k}`, 'v'.repeat(2_000))
      await tell(each, 'BGREWRITEAOF')
    }
    await sleep(2_000)
    await markAsLeft(cluster, port)
    const pids = await Promise.all(
      ports.map(async (each) => Number(/process_id:(\d+)/.exec(await tell(each, 'INFO', 'server'))?.[1])),
    )
    for (const pid of pids) process.kill(pid, 'SIGKILL')
    await sleep(500)
    // With all that it takes, or not: the folder stays.
    await startCluster({ dataDir }).catch(() => undefined)
    expect(existsSync(folderOf(cluster, port))).toBe(true)
    const { ports: settled, unsettled } = await manifestOf(cluster)
    expect([...settled, ...(unsettled?.ports ?? [])]).toContain(port)
    const manifest = await manifestOf(cluster)
    const { unsettled: _, ...rest } = manifest
    await writeManifest(dataDir, { ...rest, ports: [...new Set([...settled, port])] })
  }, 120_000)

  it('a server that became a node of another cluster meanwhile is not introduced', async () => {
    const cluster = await ownCluster(SMALL)
    const [one, other] = await bareServers(2, { settings: { 'cluster-node-timeout': '1000' } })
    if (!one || !other) throw new Error('no servers')
    for (const { port } of await masters(cluster)) {
      const slot = (await masters(cluster)).find((master) => master.port === port)?.slots[0]?.[0] ?? 0
      await tell(port, 'SET', `{${tagForSlot(slot)}}key`, 'v')
    }
    let done: Promise<unknown> = Promise.resolve()
    const joining = addNodes(cluster.seeds, [one, other], {
      onStep: ({ step, node }) => {
        if (step === 'joined' && portOf(node) === one.port)
          done = tell(other.port, 'CLUSTER', 'ADDSLOTSRANGE', 0, 16_383)
      },
    })
    await expect(joining).rejects.toThrow(NodeRefusedError)
    await done
    expect(await tell(other.port, 'CLUSTER', 'INFO')).toContain('cluster_known_nodes:1')
    const sizes = await Promise.all((await masters(cluster)).map(({ port }) => tell(port, 'DBSIZE')))
    expect(sizes.filter((size) => Number(size) > 0).length).toBeGreaterThanOrEqual(3)
  }, 60_000)

  it('a removal that waited at its prompt does not remove another node at the same port', async () => {
    const cluster = await ownCluster(SMALL)
    const { dataDir, seeds } = cluster
    const [first] = seeds
    const node = await added(addLocalNodes({ dataDir, masters: 1, replicasPerMaster: 0 }))
    const stale = await planLocalRemoval(node.node, { dataDir, leaveUnprotected: true })
    await (await planLocalRemoval(node.node, { dataDir, leaveUnprotected: true })).run()
    const port = portOf(node.node)
    const second = await added(addLocalNodes({ dataDir, replicaOf: `127.0.0.1:${first?.port}`, port }))
    expect(second.node).toBe(node.node)
    await expect(stale.run({ evenIfChanged: true })).rejects.toThrow('another node by now')
    expect(existsSync(folderOf(cluster, port))).toBe(true)
    expect((await manifestOf(cluster)).ports).toContain(port)
    expect(await tell(port, 'ROLE')).toContain('slave')
  }, 60_000)

  it('a removal that only had to be finished looks again', async () => {
    const cluster = await ownCluster({ ...SMALL, masters: 4 })
    const [first] = await masters(cluster)
    const [server] = await bareServers(1, { settings: { 'cluster-node-timeout': '1000' } })
    if (!first || !server) throw new Error('no servers')
    const add = () => added(addNodes(cluster.seeds, [{ ...server, replicaOf: first.id }]))
    const { id } = await add()
    for (const { port } of cluster.seeds) await tell(port, 'CLUSTER', 'FORGET', id)
    const name = `127.0.0.1:${server.port}`
    const stale = await planRemoval(cluster.seeds, name)
    await (await planRemoval(cluster.seeds, name)).run()
    await add()
    await expect(stale.run()).rejects.toThrow(NodeRefusedError)
    expect(await tell(server.port, 'ROLE')).toContain('slave')
  }, 60_000)

  it('one that has slots by now is not said to be removed', async () => {
    const cluster = await ownCluster(SMALL)
    const { dataDir, seeds } = cluster
    const { node } = await added(addLocalNodes({ dataDir, masters: 1, replicasPerMaster: 0 }))
    await markAsLeft(cluster, portOf(node))
    const plan = await planLocalRemoval(node, { dataDir })
    await (await planRebalance(seeds)).run()
    await expect(plan.run()).rejects.toThrow('has slots or replicas by now')
    expect((await manifestOf(cluster)).ports).toContain(portOf(node))
    expect(await servedBy(portOf(node))).toBe('16384')
  }, 60_000)

  it('what another operation has left stays marked', async () => {
    const cluster = await ownCluster(SMALL)
    const { dataDir, seeds } = cluster
    const replica = () => added(addLocalNodes({ dataDir, replicaOf: `127.0.0.1:${seeds[0]?.port}` }))
    const [left, leaving] = [await replica(), await replica()]
    await markAsLeft(cluster, portOf(left.node))
    await (await planLocalRemoval(leaving.node, { dataDir, leaveUnprotected: true })).run()
    // Cleared away with it, or known still; not a node that nobody knows.
    const { ports, unsettled } = await manifestOf(cluster)
    const isKnown = [...ports, ...(unsettled?.ports ?? [])].includes(portOf(left.node))
    const isGone = !existsSync(folderOf(cluster, portOf(left.node)))
    expect(isKnown !== isGone).toBe(true)
    expect(existsSync(folderOf(cluster, portOf(leaving.node)))).toBe(false)
  }, 60_000)
})

describe('rolling-restart', () => {
  /** Calls `act` when it has written down which node it is about to take down. */
  function whenAtNode(act: (id: string) => unknown): void {
    const call = KeyLink.prototype.call
    onTestFinished(() => {
      KeyLink.prototype.call = call
    })
    let isDone = false
    KeyLink.prototype.call = async function (this: KeyLink, options, command, ...args) {
      const id = command === 'SET' ? /"at":"(\w+)"/.exec(String(args[1]))?.[1] : undefined
      if (id !== undefined && !isDone) {
        isDone = true
        await act(id)
      }
      return call.call(this, options, command, ...args)
    }
  }

  /** A restart command that only writes down which port it was given. */
  async function rollByCommand() {
    const cluster = await ownCluster()
    const ran = join(await tempDir(), 'ran')
    const plan = await planRolling(cluster.seeds, {
      restartCommand: `echo {port} >> '${ran}'`,
      comeBackMs: 2_000,
    })
    const restarted = async () => (existsSync(ran) ? readFile(ran, 'utf8') : '')
    return { cluster, plan, restarted }
  }

  it('restarts nothing once its lock has run out', async () => {
    const { plan, restarted } = await rollByCommand()
    const real = Date.now
    onTestFinished(() => void vi.restoreAllMocks())
    whenAtNode(() => vi.spyOn(Date, 'now').mockImplementation(() => real() + 60_000))
    await expect(plan.run()).rejects.toThrow(OperationLostError)
    expect(await restarted()).toBe('')
  }, 60_000)

  it('does not restart a replica that has been promoted since', async () => {
    const { cluster, plan, restarted } = await rollByCommand()
    let promoted = 0
    whenAtNode(async (id) => {
      const { nodes } = await cluster.status()
      const node = nodes.find((each) => each.id === id)
      const master = nodes.find((each) => each.id === node?.masterId)
      if (!node || !master) throw new Error('the first is no replica')
      promoted = node.port
      await cluster.killNode(master.port)
      await until(
        'it is promoted',
        () => tell(node.port, 'CLUSTER', 'NODES'),
        (view) => /myself,master/.test(view),
      )
    })
    await expect(plan.run()).rejects.toThrow('has become a master with slots')
    expect(promoted).toBeGreaterThan(0)
    expect(await restarted()).toBe('')
  }, 60_000)

  it('writes no manifest that it read before its prompt', async () => {
    const cluster = await ownCluster()
    const { dataDir, seeds } = cluster
    const { path } = await ensureServer()
    const plan = await planRolling(seeds, { dataDir, redisPath: path })
    const replica = await added(addLocalNodes({ dataDir, replicaOf: `127.0.0.1:${seeds[0]?.port}` }))
    await expect(plan.run()).rejects.toThrow(PlanChangedError)
    await plan.run({ evenIfChanged: true }).catch(() => undefined)
    expect((await manifestOf(cluster)).ports).toContain(portOf(replica.node))
  }, 120_000)
})
