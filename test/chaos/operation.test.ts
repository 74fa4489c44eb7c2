import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { NodeUnreachableError } from '../../src/cluster/errors.js'
import {
  type Held,
  type LocalCluster,
  LockUnavailableError,
  OperationInProgressError,
  OperationLostError,
  type OperationOptions,
  planFix,
  withOperation,
} from '../../src/cluster/index.js'
import { NodeLink } from '../../src/cluster/link.js'
import { OPERATION_KEY } from '../../src/cluster/own-keys.js'
import { slotOf } from '../../src/keys/slots.js'
import { tell } from '../helpers/nodes.js'
import { openCluster } from '../helpers/own-cluster.js'
import { until } from '../helpers/until.js'

let cluster: LocalCluster
let dispose: () => Promise<void>
beforeAll(async () => {
  ;({ cluster, dispose } = await openCluster())
})
afterAll(() => dispose?.())

const SLOT = slotOf(OPERATION_KEY)

const hold = <T>(name: string, run: (held: Held) => Promise<T>, options: Partial<OperationOptions> = {}) =>
  withOperation(cluster.seeds, {}, { name, patienceMs: 200, ...options }, undefined, run)

async function masters() {
  const { nodes } = await cluster.status()
  const owner = nodes.find(({ slots }) => slots.some(([first, last]) => first <= SLOT && SLOT <= last))
  const other = nodes.find(({ role, id }) => role === 'master' && id !== owner?.id)
  if (!owner || !other) throw new Error('nobody owns the slot of the lock')
  return { owner, other, nodes }
}

const aborted = (signal: AbortSignal) => once(signal, 'abort', { signal: AbortSignal.timeout(10_000) })

it('one at a time; the other is told who it is', async () => {
  const refused = await hold('rebalance', () => hold('backup', async () => 'both').catch((error) => error))
  expect(refused).toBeInstanceOf(OperationInProgressError)
  expect(refused).toMatchObject({ operation: 'backup', holder: { operation: 'rebalance', pid: process.pid } })
  expect(refused.message).toContain(`kill -INT ${process.pid}`)
  expect(await hold('backup', async () => 'after it')).toBe('after it')
})

it('an answer that is lost: asked again, it is ours; and where none comes, it is let go of', async () => {
  const reply = NodeLink.prototype.reply
  const losing = async <T>(most: number, run: () => Promise<T>): Promise<T> => {
    let left = most
    NodeLink.prototype.reply = async function (command, ...args) {
      const answer = await reply.call(this, command, ...args)
      if (!String(args[0]).includes('allow-oom') || --left < 0) return answer
      throw new NodeUnreachableError('the answer was lost')
    }
    try {
      return await run()
    } finally {
      NodeLink.prototype.reply = reply
    }
  }
  expect(await losing(1, () => hold('rebalance', async () => 'held'))).toBe('held')
  const lost = losing(Number.POSITIVE_INFINITY, () => hold('rebalance', async () => 'held'))
  await expect(lost).rejects.toThrow(LockUnavailableError)
  expect(await hold('backup', async () => 'after it')).toBe('after it')
})

it('a repair is an operation too', async () => {
  const fix = await planFix(cluster.seeds)
  const refused = await hold('rebalance', () => fix.run().catch((error) => error))
  expect(refused).toBeInstanceOf(OperationInProgressError)
})

it('the lock of a process that was killed is taken over at once', async () => {
  const script = fileURLToPath(new URL('../helpers/processes/hold-operation.ts', import.meta.url))
  const child = fork(script, [JSON.stringify(cluster.seeds)], { execArgv: ['--import', 'tsx'] })
  try {
    await once(child, 'message')
    await expect(hold('backup', async () => 'both')).rejects.toThrow(`process ${child.pid}`)
  } finally {
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  expect(await hold('backup', async () => 'after it')).toBe('after it')
})

it('one that stood still for longer than its lock sends nothing any more', async () => {
  const { owner } = await masters()
  const sent = hold(
    'rebalance',
    async (held) => {
      const link = await NodeLink.open(owner, held)
      try {
        expect(await link.text('CLUSTER', 'COUNTKEYSINSLOT', 0)).toBe('0')
        // Neither timers nor sockets, as under SIGSTOP.
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 600)
        return await link.text('CLUSTER', 'SETSLOT', SLOT, 'STABLE')
      } finally {
        link.close()
      }
    },
    { leaseMs: 400 },
  )
  await expect(sent).rejects.toThrow(OperationLostError)
  await expect(sent).rejects.toThrow('could not be renewed')
})

it('what fails because the process stood still for longer is told as the lock that was lost', async () => {
  const failed = hold(
    'fix',
    async () => {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 600)
      throw new Error('not ready within 20000 ms')
    },
    { leaseMs: 400 },
  )
  await expect(failed).rejects.toMatchObject({
    name: 'OperationLostError',
    cause: { message: 'not ready within 20000 ms' },
  })
})

it('is lost to somebody who wrote over it, and says so', async () => {
  const { owner } = await masters()
  let wasAborted = false
  const lost = hold(
    'rebalance',
    async ({ signal }) => {
      await tell(owner.port, 'SET', OPERATION_KEY, JSON.stringify({ operation: 'backup', host: 'b', pid: 5 }))
      await aborted(signal)
      wasAborted = true
      throw new Error('ended after the step')
    },
    { leaseMs: 400 },
  )
  await expect(lost).rejects.toThrow('backup of process 5 on b has it now')
  await expect(lost).rejects.toMatchObject({ cause: { message: 'ended after the step' } })
  expect(wasAborted).toBe(true)
  // What is another's is left alone.
  expect(await tell(owner.port, 'DEL', OPERATION_KEY)).toBe('1')
})

it('goes with its slot when that is moved', async () => {
  const { owner, other } = await masters()
  const held = await hold(
    'rebalance',
    async ({ signal }) => {
      await tell(other.port, 'CLUSTER', 'SETSLOT', SLOT, 'IMPORTING', owner.id)
      await tell(owner.port, 'CLUSTER', 'SETSLOT', SLOT, 'MIGRATING', other.id)
      await tell(owner.port, 'MIGRATE', other.host, other.port, '', 0, 1_000, 'KEYS', OPERATION_KEY)
      await expect(hold('backup', async () => 'both')).rejects.toThrow('rebalance has been running')
      for (const { port } of [other, owner]) await tell(port, 'CLUSTER', 'SETSLOT', SLOT, 'NODE', other.id)
      const ttl = async () => Number(await tell(other.port, 'PTTL', OPERATION_KEY))
      const before = await ttl()
      await until('renewed where it is now', ttl, (now) => now > before)
      return signal.aborted
    },
    { leaseMs: 2_000 },
  )
  expect(held).toBe(false)
})

it('survives a failover of its node', async () => {
  const { owner } = await masters()
  await hold('rebalance', async ({ signal }) => {
    await cluster.killNode(owner.port)
    const seeds = cluster.seeds.filter(({ port }) => port !== owner.port)
    const options = { name: 'backup', patienceMs: 8_000 }
    await expect(withOperation(seeds, {}, options, undefined, async () => 'both')).rejects.toThrow(
      'rebalance has been running',
    )
    expect(signal.aborted).toBe(false)
  })
  await cluster.restartNode(owner.port)
  await cluster.waitUntilReady({ writes: false })
  expect(await hold('backup', async () => 'after it')).toBe('after it')
})

it('cannot be had while nobody serves its slot: refused, and a repair goes on without', async () => {
  const { nodes } = await masters()
  for (const { port } of nodes) await tell(port, 'CLUSTER', 'DELSLOTS', SLOT)
  await expect(hold('rebalance', async () => 'anyway')).rejects.toBeInstanceOf(LockUnavailableError)
  let why = ''
  const fix = await planFix(cluster.seeds, { onUnlocked: ({ message }) => (why = message) })
  expect(await fix.run()).toMatchObject({ left: [], agreed: true })
  expect(why).toContain('CLUSTERDOWN')
  expect(await hold('rebalance', async () => 'after it')).toBe('after it')
})
