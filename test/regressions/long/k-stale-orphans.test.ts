import { expect, it } from 'vitest'
import { shardq } from '../../helpers/cli.js'
import { tell, tellAll } from '../../helpers/nodes.js'
import { ownCluster } from '../../helpers/own-cluster.js'

/** Keys of months ago on a node that does not own their slot, which were deleted at the owner since: `fix --yes` brought them back. */
it.each([
  ['', false],
  [', also where that node was restarted since, and imports the slot', true],
])('what was deleted at the owner is not brought back by fix --yes%s', async (_, isRestarted) => {
  const cluster = await ownCluster({ replicasPerMaster: 0 })
  const { nodes } = await cluster.status()
  const [first] = nodes
  if (!first) throw new Error('no nodes')
  const slot = Number(await tell(first.port, 'CLUSTER', 'KEYSLOT', '{u1}'))
  const owner = nodes.find(({ slots }) => slots.some(([from, to]) => from <= slot && slot <= to))
  const other = nodes.find(({ id }) => id !== owner?.id)
  if (!owner || !other) throw new Error('no owner')
  await tellAll(other.port, [
    ['CLUSTER', 'SETSLOT', slot, 'IMPORTING', owner.id],
    ['ASKING'],
    ['SET', '{u1}session', 'deleted-account'],
    ['CLUSTER', 'SETSLOT', slot, 'STABLE'],
  ])
  await tell(owner.port, 'SET', '{u1}profile', 'kept')

  if (isRestarted) {
    await cluster.killNode(other.port, 'SIGTERM')
    await cluster.restartNode(other.port)
    expect(await tell(other.port, 'CLUSTER', 'NODES')).toContain(`[${slot}-<-${owner.id}]`)
  }
  const fix = (...args: string[]) =>
    shardq(['cluster', 'fix', '--yes', '--data-dir', cluster.dataDir, ...args])
  const left = await fix()
  expect(left.code).toBe(1)
  expect(left.stdout).toContain('--bring-home')
  expect(await tell(owner.port, 'EXISTS', '{u1}session')).toBe('0')
  expect(await tell(other.port, 'CLUSTER', 'COUNTKEYSINSLOT', slot)).toBe('1')

  expect(await fix('--bring-home')).toMatchObject({ code: 0 })
  expect(await tell(owner.port, 'GET', '{u1}session')).toBe('deleted-account')
})
