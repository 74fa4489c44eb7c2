import { expect, inject, it } from 'vitest'
import { inspectOver } from '../../src/cluster/inspect.js'
import { NodeLink } from '../../src/cluster/link.js'
import { waitUntilReady } from '../../src/cluster/ready.js'
import { slotOf } from '../../src/keys/slots.js'
import { eventually } from '../helpers/behaviour/harness.js'
import { owns } from '../helpers/nodes.js'

/** More than there are shards, and all that were ever written to. */
const NAMES = Array.from({ length: 20 }, (_, n) => `shardq:ready:${n}`)

/** Whether a shard takes a write was tried with keys of these names, which were written over and removed, whosever they were. */
it('a look whether each shard takes a write leaves keys of others as they are, and none of its own', async () => {
  const links = await Promise.all(inject('cluster').nodes.map((node) => NodeLink.open(node)))
  const [first] = links
  if (!first) throw new Error('no nodes')
  const { nodes } = await inspectOver(first)
  const ids = await Promise.all(links.map((link) => link.text('CLUSTER', 'MYID')))
  const at = (name: string) => {
    const owner = nodes.find((node) => owns(node, slotOf(name)))
    return links[ids.indexOf(owner?.id ?? '')] as NodeLink
  }
  const left = async () => {
    const keys = await Promise.all(
      links.map((link) => link.reply('KEYS', 'shardq:ready:*') as Promise<string[]>),
    )
    return [...new Set(keys.flat())].sort()
  }
  try {
    for (const name of NAMES) await at(name).text('HSET', name, 'a', 1)
    await waitUntilReady(links, { timeoutMs: 10_000 })
    for (const name of NAMES) expect(await at(name).text('HGET', name, 'a')).toBe('1')
    // Those of other tests, who look at the same time, go too.
    await eventually(async () => expect(await left()).toEqual([...NAMES].sort()))
  } finally {
    for (const name of NAMES) await at(name).text('DEL', name)
    for (const link of links) link.close()
  }
})
