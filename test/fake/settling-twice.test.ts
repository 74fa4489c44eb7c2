import { describe, expect, it } from 'vitest'
import { LeaseLostError } from '../../src/index.js'
import type { FakeNode, Received } from './fake-cluster.js'
import { Giver, record } from './giver.js'
import { fakeCluster, queueOn } from './harness.js'

type Interfere = (call: Received) => ReturnType<FakeNode['script']>

/** The first call of the script gets no answer, and the second one this. */
function lostThen(script: string, second: string | number[]): Interfere {
  let calls = 0
  return (call) => {
    if (call.script !== script) return undefined
    return ++calls === 1 ? 'hang up' : (second as string)
  }
}

async function deliveryWith(interfere: Interfere, leaseMs = 5_000) {
  const cluster = await fakeCluster()
  new Giver(cluster.a, [{ id: '0.x', record: record() }], interfere)
  const queue = await queueOn(cluster)
  const [delivery] = await queue.dequeue({ blockMs: 2_000, leaseMs })
  if (!delivery) throw new Error('nothing was delivered')
  return { cluster, delivery }
}

describe('a failure that is told twice, since no answer came to the first', () => {
  it('is lost when somebody else has the task', async () => {
    const { delivery } = await deliveryWith(lostThen('fail', 'lost'))
    await expect(delivery.fail(new Error('x'))).rejects.toBeInstanceOf(LeaseLostError)
  })

  it('got through the first time when this attempt is counted', async () => {
    const { delivery, cluster } = await deliveryWith(lostThen('fail', 'counted'))
    expect(await delivery.fail(new Error('x'))).toBe('retried')
    expect(cluster.a.calls('fail')[0]?.args[6]).toBe('1')
  })

  it('is lost when the lease has run out meanwhile, which counts the attempt too', async () => {
    const { delivery, cluster } = await deliveryWith(lostThen('fail', 'counted'), 500)
    const failing = delivery.fail(new Error('x'))
    failing.catch(() => undefined)
    cluster.a.script = ({ script }) => (script === 'fail' ? 'silence' : undefined)
    await new Promise((resolve) => setTimeout(resolve, 600))
    cluster.a.script = ({ script }) => (script === 'fail' ? 'counted' : undefined)
    await expect(failing).rejects.toBeInstanceOf(LeaseLostError)
  })

  it('is lost when it was told once, and the attempt is counted: then the lease ran out', async () => {
    const { delivery } = await deliveryWith(({ script }) => (script === 'fail' ? 'counted' : undefined))
    await expect(delivery.fail(new Error('x'))).rejects.toBeInstanceOf(LeaseLostError)
  })
})

describe('a task that is handed back twice, since no answer came to the first', () => {
  it('is back while the lease cannot have run out', async () => {
    const { delivery } = await deliveryWith(lostThen('release', [0]))
    await delivery.release()
  })

  it('is lost when the lease has run out meanwhile', async () => {
    const { delivery, cluster } = await deliveryWith(lostThen('release', [0]), 500)
    const releasing = delivery.release()
    releasing.catch(() => undefined)
    cluster.a.script = ({ script }) => (script === 'release' ? 'silence' : undefined)
    await new Promise((resolve) => setTimeout(resolve, 600))
    cluster.a.script = ({ script }) => (script === 'release' ? [0] : undefined)
    await expect(releasing).rejects.toBeInstanceOf(LeaseLostError)
  })
})
