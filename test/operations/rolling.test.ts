import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { ensureValkey } from '../../scripts/find-valkey.js'
import type { LocalCluster } from '../../src/cluster/index.js'
import { planRolling, type RollingOptions } from '../../src/cluster/index.js'
import { ownCluster } from '../helpers/own-cluster.js'
import { type PhaseReport, steadyLoad } from '../helpers/steady-load.js'

const NODE_TIMEOUT = { 'cluster-node-timeout': '5000' }

function row({ name, seconds, enqueued, p50Ms, p99Ms, maxMs }: PhaseReport): string {
  const ms = (value: number) => `${value.toFixed(1)} ms`
  return [
    name.padEnd(42),
    `${seconds.toFixed(1)} s`.padStart(7),
    String(enqueued).padStart(7),
    ...[p50Ms, p99Ms, maxMs].map((value) => ms(value).padStart(10)),
  ].join('  ')
}

/** Under 5,000 tasks per second, a phase for each step. */
async function rollUnderLoad(cluster: LocalCluster, options: RollingOptions = {}) {
  const load = await steadyLoad({ mode: 'cluster', nodes: cluster.seeds })
  await sleep(3_000)
  const phases: PhaseReport[] = []
  const begin = async (name: string) => void phases.push(await load.phase(name))
  let name = ''
  let told = begin('before')
  await sleep(3_000)
  const plan = await planRolling(cluster.seeds, {
    dataDir: cluster.dataDir,
    ...options,
    onProgress: (progress) => {
      if (progress.state === 'begun') {
        const { step } = progress
        name =
          step.kind === 'restart'
            ? `restart ${step.node.role} ${step.node.port}`
            : `${step.kind} to ${step.to.port}`
        told = told.then(() => begin(name))
      }
    },
  })
  const report = await plan.run()
  await told
  await begin('after')
  await sleep(3_000)
  await begin('end')
  const account = await load.stop()
  console.log(phases.map(row).join('\n'))
  console.log(account)
  return { report, phases, account }
}

it('all six nodes under 5,000 tasks per second: nothing lost, nothing refused, no enqueue over 300 ms', async () => {
  const cluster = await ownCluster({ settings: NODE_TIMEOUT })
  const { report, phases, account } = await rollUnderLoad(cluster)
  expect(report.left).toEqual([])
  expect(report.done).toHaveLength(6)
  expect(account).toMatchObject({ rejected: 0, lost: 0, errors: {} })
  expect(Math.max(...phases.slice(1).map(({ maxMs }) => maxMs))).toBeLessThan(300)
})

it('from Redis to Valkey 8 under 5,000 tasks per second: the same', async () => {
  const valkey = await ensureValkey()
  const cluster = await ownCluster({ settings: NODE_TIMEOUT })
  const { report, phases, account } = await rollUnderLoad(cluster, { redisPath: valkey.path })
  expect(report.left).toEqual([])
  expect(account).toMatchObject({ rejected: 0, lost: 0, errors: {} })
  expect(Math.max(...phases.slice(1).map(({ maxMs }) => maxMs))).toBeLessThan(300)
})
