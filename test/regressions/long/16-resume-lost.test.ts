import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { OperationNotConfirmedError, TaskQueue } from '../../../src/index.js'
import { makePartitions } from '../../../src/keys/partitions.js'
import { ownCluster } from '../../helpers/own-cluster.js'

it('pause and resume are done when the replicas know, and say where they do not', async () => {
  const cluster = await ownCluster({ settings: { 'cluster-node-timeout': '15000' } })
  const connection = { mode: 'cluster', nodes: cluster.seeds } as const
  const queue = new TaskQueue('resume', { connection, enqueueTimeoutMs: 1_000 })
  await queue.connect()
  try {
    await queue.pause()
    expect(await queue.isPaused()).toBe(true)
    const { nodes } = await cluster.status()
    const replica = nodes.find(({ role }) => role === 'replica')
    const master = nodes.find(({ id }) => id === replica?.masterId)
    await cluster.freezeNode(replica?.port ?? 0)
    const error = await queue.resume().catch((refused: unknown) => refused)
    expect(error).toBeInstanceOf(OperationNotConfirmedError)
    const behind = makePartitions('resume', 12)
      .filter(({ slot }) => master?.slots.some(([from, to]) => from <= slot && slot <= to))
      .map(({ index }) => index)
    expect((error as OperationNotConfirmedError).partitions).toEqual(behind)
    expect((error as Error).message).toContain(`partitions ${behind.join(', ')}`)

    let resumed = false
    const patient = new TaskQueue('resume', { connection })
    await patient.connect()
    const resuming = patient.resume().then(() => {
      resumed = true
    })
    await sleep(500)
    expect(resumed).toBe(false)
    await cluster.resumeNode(replica?.port ?? 0)
    await resuming
    expect(await patient.isPaused()).toBe(false)
    await patient.disconnect()
  } finally {
    await queue.disconnect()
  }
}, 40_000)
