import { expect, test } from 'vitest'
import { NodeUnreachableError } from '../../../src/cluster/errors.js'
import type { Address } from '../../../src/cluster/link.js'
import { takeLead } from '../../../src/cluster/move/epoch.js'
import { Nodes } from '../../../src/cluster/move/index.js'
import { parseClusterNodes } from '../../../src/cluster/replies.js'

const MASTER = { id: 'a', host: '127.0.0.1', port: 7000, name: '127.0.0.1:7000' }
const REPLICA_PORT = 7003

/** Master a, its replica ra and master b, as one of them sees them. */
const viewOf = (myself: 'a' | 'ra' | 'b', { a = '0-99', b = '100-200', replica = 'slave' } = {}) =>
  parseClusterNodes(
    [
      ['a', '127.0.0.1:7000@17000', 'master', '-', a],
      ['b', '127.0.0.1:7001@17001', 'master', '-', b],
      ['ra', `127.0.0.1:${REPLICA_PORT}@17003`, replica, 'a', ''],
    ]
      .map(([id, address, flags, master, slots]) =>
        [id, address, id === myself ? `myself,${flags}` : flags, master, '0 0 5 connected', slots]
          .join(' ')
          .trim(),
      )
      .join('\n'),
    '127.0.0.1',
  )
type View = ReturnType<typeof viewOf>

/** What the replica says each time that it is asked; the others know everything. */
class Told extends Nodes {
  asked = 0
  readonly sent: string[] = []

  constructor(
    private readonly replicaSays: readonly (View | Error)[],
    private readonly masterSays = viewOf('a'),
    private readonly otherSays = viewOf('b'),
  ) {
    super({})
  }

  override view = async () => this.masterSays

  override async viewAnew({ port }: Address) {
    if (port !== REPLICA_PORT) return this.otherSays
    const says = this.replicaSays[this.asked++] ?? viewOf('ra')
    if (says instanceof Error) throw says
    return says
  }

  override async text(_: unknown, ...words: (string | number)[]) {
    this.sent.push(words.join(' '))
    return 'cluster_my_epoch:6\r\n'
  }
}

const stale = viewOf('ra', { a: '0-100', b: '101-200' })

test('a node gets no later epoch before the others have heard which slots it has given away', async () => {
  const nodes = new Told([stale, new NodeUnreachableError('127.0.0.1:7003'), stale, viewOf('ra')])
  expect(await takeLead(nodes, MASTER, [MASTER])).toBe(6)
  expect(nodes.asked).toBe(4)
  expect(nodes.sent).toEqual(['CLUSTER BUMPEPOCH', 'CLUSTER INFO'])
})

test('it is asked for once, and again when the node has given another slot away', async () => {
  const nodes = new Told([])
  for (let i = 0; i < 2; i++) await takeLead(nodes, MASTER, [MASTER])
  await nodes.setSlot(MASTER, 7, 'NODE', 'a')
  await takeLead(nodes, MASTER, [MASTER])
  expect(nodes.asked).toBe(1)
  await nodes.setSlot(MASTER, 99, 'NODE', 'b')
  await takeLead(nodes, MASTER, [MASTER])
  expect(nodes.asked).toBe(2)
})

test('a slot that nobody else owns is nobody’s to lose', async () => {
  const nodes = new Told([stale], viewOf('a', { b: '101-200' }), viewOf('b', { b: '101-200' }))
  expect(await takeLead(nodes, MASTER, [MASTER])).toBe(6)
  expect(nodes.asked).toBe(1)
})

test('a node that counts as failed is not waited for', async () => {
  const nodes = new Told([], viewOf('a', { replica: 'slave,fail' }))
  expect(await takeLead(nodes, MASTER, [MASTER])).toBe(6)
  expect(nodes.asked).toBe(0)
})

test('what a node fails with otherwise is not taken for silence', async () => {
  const nodes = new Told([new Error('NOPERM')])
  await expect(takeLead(nodes, MASTER, [MASTER])).rejects.toThrow('NOPERM')
  expect(nodes.sent).toEqual([])
})
