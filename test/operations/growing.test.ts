import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { type LocalCluster, Observer } from '../../src/cluster/index.js'
import { selfOf, witnessesOf } from '../../src/cluster/views.js'
import { TaskQueue } from '../../src/index.js'
import { partitionSlots } from '../../src/keys/partitions.js'
import { MAIN, shardq } from '../helpers/cli.js'
import { ownCluster } from '../helpers/own-cluster.js'
import { type PhaseReport, steadyLoad } from '../helpers/steady-load.js'

/** The one under load, and two that have some tasks waiting; with so many partitions. */
const QUEUES = { steady: 12, mail: 12, reports: 24 } as const
const SEED = 7

async function fill(cluster: LocalCluster): Promise<void> {
  for (const [name, partitions] of Object.entries(QUEUES)) {
    if (name === 'steady') continue
    const queue = new TaskQueue(name, { connection: { mode: 'cluster', nodes: cluster.seeds }, partitions })
    await queue.connect()
    for (let n = 0; n < 40; n++)
      await queue.enqueueMany(
        Array.from({ length: 50 }, () => ({ type: 'job', data: { n, text: 'x'.repeat(200) } })),
      )
    await queue.disconnect()
  }
}

/** Partitions by master of each queue, by what every node says of itself; and slots that are open anywhere. */
async function sharesOf(cluster: LocalCluster) {
  const observer = new Observer(cluster.seeds)
  try {
    const selves = witnessesOf(await observer.observe()).flatMap((witness) => selfOf(witness) ?? [])
    const masters = selves.filter(({ role, slots }) => role === 'master' && slots.length > 0)
    const counts = Object.entries(QUEUES).map(([name, partitions]) => {
      const slots = partitionSlots(name, partitions)
      return [
        name,
        masters.map(
          (master) => slots.filter((slot) => master.slots.some(([a, b]) => a <= slot && slot <= b)).length,
        ),
      ] as const
    })
    return { shares: Object.fromEntries(counts), open: selves.flatMap(({ openSlots }) => openSlots).length }
  } finally {
    observer.close()
  }
}

function expectEqual({ shares, open }: Awaited<ReturnType<typeof sharesOf>>, masters: number): void {
  expect(open).toBe(0)
  for (const counts of Object.values(shares)) {
    expect(counts).toHaveLength(masters)
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1)
  }
}

const row = (step: string, { enqueued, seconds, p99Ms, maxMs }: PhaseReport, shares: object) =>
  `${step.padEnd(28)} ${seconds.toFixed(1).padStart(6)} s ${enqueued.toString().padStart(7)} enqueued` +
  `  p99 ${p99Ms.toFixed(1).padStart(6)} ms  longest ${maxMs.toFixed(0).padStart(5)} ms  ${JSON.stringify(shares)}`

it('three masters, five, and three again, under load', async () => {
  const cluster = await ownCluster()
  const place = ['--data-dir', cluster.dataDir]
  await fill(cluster)
  const load = await steadyLoad({ mode: 'cluster', nodes: cluster.seeds })
  await sleep(3_000)
  const rows: string[] = []
  const phases: PhaseReport[] = []
  const step = async (name: string, masters: number, args: readonly string[]) => {
    await load.phase(name)
    const { code, stdout, stderr } = await shardq([...args, ...place])
    if (code !== 0) throw new Error(`${name}: ${stdout}\n${stderr}`)
    const phase = await load.phase('between')
    const found = await sharesOf(cluster)
    phases.push(phase)
    rows.push(row(name, phase, found.shares))
    expectEqual(found, masters)
  }
  const calm = await load.phase('calm')
  rows.push(row('nothing', calm, (await sharesOf(cluster)).shares))
  await step('add 2 masters, 2 replicas', 5, ['cluster', 'add-node', '--masters', '2', '--rebalance'])
  const added = cluster.seeds.map(({ port }) => port)
  const { nodes } = await cluster.status()
  const newMasters = nodes.filter(({ port, role }) => role === 'master' && !added.includes(port))
  expect(newMasters).toHaveLength(2)
  for (const [i, { port }] of newMasters.entries())
    await step(`remove ${i + 1} master, 1 replica`, 4 - i, [
      ...['cluster', 'remove-node', `127.0.0.1:${port}`, '--with-replicas', '--yes'],
    ])
  const report = await load.stop()
  console.log(`${rows.join('\n')}\n`, report)
  expect((await cluster.status()).knownNodes).toBe(6)
  expect(report).toMatchObject({ rejected: 0, lost: 0 })
  for (const { p99Ms } of phases) expect(p99Ms).toBeLessThan(100)
})

it('a rebalance that is killed ten times is resumed each time, under load', async () => {
  const cluster = await ownCluster()
  await fill(cluster)
  const load = await steadyLoad({ mode: 'cluster', nodes: cluster.seeds })
  let state = SEED
  const random = () => {
    state = (state * 48_271) % 2_147_483_647
    return state / 2_147_483_647
  }
  const [first] = cluster.seeds
  const rows: string[] = []
  // To and fro, so that there is always something to move; one that was at its end before it was killed does not count.
  for (let kill = 0, killed = 0; killed < 10; kill++) {
    if (kill === 20) throw new Error(`only ${killed} of 20 were killed before their end`)
    const weight = kill % 2 === 0 ? 3 : 1
    const args = ['--weight', `127.0.0.1:${first?.port}=${weight}`, '--yes', '--data-dir', cluster.dataDir]
    const began = performance.now()
    const child: ChildProcess = spawn(process.execPath, [MAIN, 'cluster', 'rebalance', ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const ended = once(child, 'close')
    // The plan is shown when it begins to move; it takes some seconds from there.
    await Promise.race([once(child.stdout as NodeJS.ReadableStream, 'data'), ended])
    await sleep(random() * 2_000)
    child.kill('SIGKILL')
    const [code] = await ended
    if (code === null) killed++
    const killedMs = performance.now() - began
    const half = await sharesOf(cluster)
    const resumed = await shardq(['cluster', 'rebalance', ...args])
    if (resumed.code !== 0) throw new Error(`kill ${kill}: ${resumed.stdout}\n${resumed.stderr}`)
    const { open } = await sharesOf(cluster)
    rows.push(
      `kill ${kill + 1} after ${killedMs.toFixed(0)} ms (${code === null ? 'killed' : 'at its end'}): ${half.open} slots open, then ${open}`,
    )
    expect(open).toBe(0)
  }
  // However many it took, the last weight may have been the other one.
  const equal = await shardq(['cluster', 'rebalance', '--yes', '--data-dir', cluster.dataDir])
  expect(equal.code, equal.stderr).toBe(0)
  const phase = await load.phase('end')
  const report = await load.stop()
  console.log(`${rows.join('\n')}\n`, phase, report)
  expectEqual(await sharesOf(cluster), 3)
  expect(report).toMatchObject({ rejected: 0, lost: 0 })
})
