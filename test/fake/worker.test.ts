import { describe, expect, it } from 'vitest'
import { sleep } from '../../src/connection/connection.js'
import { LeaseLostError } from '../../src/index.js'
import { eventually } from '../helpers/behaviour/harness.js'
import type { Received } from './fake-cluster.js'
import { acknowledgedIn, Giver, record } from './giver.js'
import { fakeCluster, queueOn, workerOn } from './harness.js'
import { FakeError } from './resp.js'

const fetches = (call: Received) => call.script === 'exchange' && Number(call.args[2]) > 0
const acknowledges = (call: Received) => call.script === 'exchange' && acknowledgedIn(call).length > 0

describe('a worker whose fetch is refused', () => {
  it.each(['NOPERM this user has no permissions', 'ERR something else'])(
    'with %s reports it and tries on, until it gets its task',
    async (text) => {
      const cluster = await fakeCluster()
      let refusing = true
      new Giver(cluster.a, [{ id: '0.x', record: record() }], (call) =>
        refusing && fetches(call) ? new FakeError(text) : undefined,
      )
      const seen: string[] = []
      const worker = await workerOn(cluster, { note: ({ id }) => void seen.push(id) })
      const errors: string[] = []
      worker.on('error', (error) => errors.push(`${error.message} ${error.cause}`))
      await eventually(() => expect(errors.join()).toContain(text))
      expect(seen).toEqual([])
      refusing = false
      await eventually(() => expect(worker.health().metrics.completed).toBe(1))
      expect(seen).toEqual(['0.x'])
    },
  )

  it.each([
    'CLUSTERDOWN The cluster is down',
    "READONLY You can't write against a read only replica.",
    'LOADING Redis is loading the dataset in memory',
    'TRYAGAIN Multiple keys request during rehashing of slot',
    'BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.',
    'MOVED 1 :7000',
  ])('with %s tries again, and has nothing to report', async (text) => {
    const cluster = await fakeCluster()
    let refusals = 0
    new Giver(cluster.a, [{ id: '0.x', record: record() }], (call) =>
      fetches(call) && ++refusals <= 3 ? new FakeError(text) : undefined,
    )
    const worker = await workerOn(cluster, { note: () => undefined })
    const errors: Error[] = []
    worker.on('error', (error) => errors.push(error))
    await eventually(() => expect(worker.health().metrics.completed).toBe(1))
    expect(errors).toEqual([])
  })

  it('with NOSCRIPT sends the same call with the text of the script', async () => {
    const cluster = await fakeCluster()
    const giver = new Giver(cluster.a, [{ id: '0.x', record: record() }], ({ words }) =>
      words[0] === 'EVALSHA' ? new FakeError('NOSCRIPT No matching script.') : undefined,
    )
    const worker = await workerOn(cluster, { note: () => undefined })
    await eventually(() => expect(worker.health().metrics.completed).toBe(1))
    expect(giver.held.size).toBe(0)
    const exchanges = cluster.a.calls('exchange')
    expect(exchanges.slice(0, 2).map(({ words }) => words[0])).toEqual(['EVALSHA', 'EVAL'])
    expect(exchanges[1]?.args).toEqual(exchanges[0]?.args)
  })

  it('with a reply that the script does not give reports it and tries on', async () => {
    const cluster = await fakeCluster()
    let garbled = false
    new Giver(cluster.a, [{ id: '0.x', record: record() }], (call) => {
      if (garbled || !fetches(call)) return undefined
      garbled = true
      return 'garbage'
    })
    const worker = await workerOn(cluster, { note: () => undefined })
    const errors: Error[] = []
    worker.on('error', (error) => errors.push(error))
    await eventually(() => expect(worker.health().metrics.completed).toBe(1))
    expect(errors.length).toBeGreaterThan(0)
  })
})

describe.each(['hang up', 'silence'] as const)('a fetch that was carried out, answered by %s', (answer) => {
  /** Tasks were taken under a lease that the client has never heard of. */
  async function loseFetch() {
    const cluster = await fakeCluster()
    let lost: string | undefined
    const giver = new Giver(cluster.a, [{ id: '0.x', record: record() }], (call) => {
      if (lost !== undefined || !fetches(call)) return undefined
      giver.exchange(call)
      lost = call.args[0]
      return answer
    })
    return { cluster, lease: () => lost }
  }

  it('by a worker: its lease is given back as soon as the shard answers', async () => {
    const { cluster, lease } = await loseFetch()
    await workerOn(cluster, { note: () => undefined })
    await eventually(() => expect(cluster.a.calls('release').map(({ args }) => args[1])).toContain(lease()))
  })

  it('by dequeue, which has returned meanwhile: its lease is given back as soon as the shard answers', async () => {
    const { cluster, lease } = await loseFetch()
    const queue = await queueOn(cluster)
    await queue.dequeue({ blockMs: 0 })
    expect(lease()).toBeDefined()
    const answered = cluster.a.calls('tend').length
    await eventually(() => expect(cluster.a.calls('tend').length).toBeGreaterThan(answered))
    await eventually(
      () => expect(cluster.a.calls('release').map(({ args }) => args[1])).toContain(lease()),
      2_000,
    )
  })
})

describe('a completion', () => {
  it.each(['NOPERM this user has no permissions', 'ERR something else'])(
    'that is answered with %s is reported and tried on',
    async (text) => {
      const cluster = await fakeCluster()
      let refusing = true
      const giver = new Giver(cluster.a, [{ id: '0.x', record: record() }], (call) =>
        refusing && acknowledges(call) ? new FakeError(text) : undefined,
      )
      const worker = await workerOn(cluster, { note: () => undefined })
      const errors: string[] = []
      worker.on('error', (error) => errors.push(`${error.message} ${error.cause}`))
      await eventually(() => expect(errors.join()).toContain(text))
      expect(worker.health().metrics.completed).toBe(0)
      refusing = false
      await eventually(() => expect(worker.health().metrics.completed).toBe(1))
      expect(giver.held.size).toBe(0)
    },
  )

  it('whose script fails after it was carried out is not taken for a lost lease', async () => {
    const cluster = await fakeCluster()
    let failed = false
    const giver = new Giver(cluster.a, [{ id: '0.x', record: record() }], (call) => {
      if (failed || !acknowledges(call)) return undefined
      failed = true
      giver.exchange(call)
      return new FakeError(
        'ERR user_script:80: attempt to index a nil value script: exchange, on @user_script:80.',
      )
    })
    const queue = await queueOn(cluster)
    const [delivery] = await queue.dequeue({ blockMs: 2_000 })
    const refusal = await delivery?.complete().then(
      () => undefined,
      (error: unknown) => error,
    )
    expect(refusal).not.toBeInstanceOf(LeaseLostError)
  })
})

describe('a task that is extended while its replica is late', () => {
  it('is not given up: the lease it gets is renewed too', async () => {
    const cluster = await fakeCluster()
    let confirming = 1
    let lease: string | undefined
    const renewed = new Set<string>()
    new Giver(cluster.a, [{ id: '0.x', record: record() }], (call) => {
      if (call.words[0] === 'WAIT') return confirming
      if (fetches(call)) lease ??= call.args[0]
      if (call.script === 'extend') lease = call.args[2]
      if (call.script !== 'renew') return undefined
      for (const id of call.args.slice(1)) renewed.add(id)
      return call.args.slice(1).map((id) => (id === lease ? 1 : 0))
    })
    const worker = await workerOn(
      cluster,
      {
        note: async (delivery) => {
          confirming = 0
          await delivery.extend(10_000)
        },
      },
      { leaseMs: 500 },
    )
    await eventually(() => expect([...renewed].some((id) => id.endsWith(':0.x'))).toBe(true))
    await sleep(500)
    expect(worker.health()).toMatchObject({ active: 1, metrics: { lost: 0 } })
    confirming = 1
    await eventually(() => expect(worker.health().metrics.completed).toBe(1))
  })
})

describe('a heartbeat that overtakes an extend, and is answered after it', () => {
  it('does not take the lease that the task gets by it for lost', async () => {
    const cluster = await fakeCluster()
    const overtaken = eventOf()
    const extended = eventOf()
    let renewals = 0
    new Giver(cluster.a, [{ id: '0.x', record: record() }], ({ script, args }) => {
      if (script === 'extend') return overtaken.then(() => 'done')
      if (script !== 'renew') return undefined
      const ids = args.slice(1)
      const isOwn = (id: string) => id.endsWith(':0.x')
      if (ids.length === 1) {
        renewals++
        return [1]
      }
      // The server knows the lease before alone when it renews; its reply comes when the other one has taken the place of that.
      overtaken.happens()
      return extended.then(() => ids.map((id) => (isOwn(id) ? 0 : 1)))
    })
    let aborted: unknown
    const worker = await workerOn(
      cluster,
      {
        note: async (delivery, { signal }) => {
          await delivery.extend(10_000)
          renewals = 0
          extended.happens()
          await eventually(() => expect(renewals + Number(signal.aborted)).toBeGreaterThan(0))
          aborted = signal.reason
        },
      },
      { leaseMs: 500 },
    )
    await eventually(() => expect(worker.health().active).toBe(1))
    await eventually(() => expect(worker.health().active).toBe(0))
    expect(aborted).toBeUndefined()
    await eventually(() => expect(worker.health().metrics).toMatchObject({ completed: 1, lost: 0 }))
  })
})

/** A promise that is resolved by what happens. */
function eventOf(): Promise<void> & { happens(): void } {
  let happens = () => {}
  const promise = new Promise<void>((resolve) => {
    happens = resolve
  })
  return Object.assign(promise, { happens: () => happens() })
}
