import { expect, test } from 'vitest'
import { NodeUnreachableError } from '../../../src/cluster/errors.js'
import { takeLead } from '../../../src/cluster/move/epoch.js'
import { Nodes } from '../../../src/cluster/move/index.js'
import { parseClusterNodes } from '../../../src/cluster/replies.js'

const MASTER = { id: 'a', host: '127.0.0.1', port: 7000, name: '127.0.0.1:7000' }

const viewOf = (myself: 'a' | 'ra', { slots = '0-99', replica = 'slave' } = {}) =>
  parseClusterNodes(
    [
      `a 127.0.0.1:7000@17000 ${myself === 'a' ? 'myself,' : ''}master - 0 0 5 connected ${slots}`,
      `ra 127.0.0.1:7003@17003 ${myself === 'ra' ? 'myself,' : ''}${replica} a 0 0 5 connected`,
    ].join('\n'),
    '127.0.0.1',
  )

/** A master that has given slot 100 away, and what the other node says each time that it is asked. */
class Told extends Nodes {
  readonly sent: string[] = []

  constructor(
    private readonly replicaSays: readonly (ReturnType<typeof viewOf> | Error)[],
    private readonly masterSays = viewOf('a'),
  ) {
    super({})
  }

  override view = async () => this.masterSays

  override async viewAnew() {
    const says = this.replicaSays[this.sent.filter((each) => each === 'asked').length]
    this.sent.push('asked')
    if (says instanceof Error) throw says
    return says ?? viewOf('ra')
  }

  override async text(_: unknown, ...words: (string | number)[]) {
    this.sent.push(words.join(' '))
    return 'cluster_my_epoch:6\r\n'
  }
}

test('a node gets no later epoch before the others have heard which slots it has given away', async () => {
  const stale = viewOf('ra', { slots: '0-100' })
  const nodes = new Told([stale, new NodeUnreachableError('127.0.0.1:7003'), stale, viewOf('ra')])
  expect(await takeLead(nodes, MASTER, [MASTER])).toBe(6)
  expect(nodes.sent).toEqual(['asked', 'asked', 'asked', 'asked', 'CLUSTER BUMPEPOCH', 'CLUSTER INFO'])
})

test('it is asked for once, and again when the node has given another slot away', async () => {
  const nodes = new Told([])
  for (let i = 0; i < 2; i++) await takeLead(nodes, MASTER, [MASTER])
  await nodes.setSlot(MASTER, 7, 'NODE', 'a')
  await takeLead(nodes, MASTER, [MASTER])
  expect(nodes.sent.filter((each) => each === 'asked')).toHaveLength(1)
  await nodes.setSlot(MASTER, 99, 'NODE', 'b')
  await takeLead(nodes, MASTER, [MASTER])
  expect(nodes.sent.filter((each) => each === 'asked')).toHaveLength(2)
})

test('a node that counts as failed is not waited for', async () => {
  const nodes = new Told([], viewOf('a', { replica: 'slave,fail' }))
  expect(await takeLead(nodes, MASTER, [MASTER])).toBe(6)
  expect(nodes.sent).toEqual(['CLUSTER BUMPEPOCH', 'CLUSTER INFO'])
})

test('what a replica fails with otherwise is not taken for silence', async () => {
  const nodes = new Told([new Error('NOPERM')])
  await expect(takeLead(nodes, MASTER, [MASTER])).rejects.toThrow('NOPERM')
  expect(nodes.sent).toEqual(['asked'])
})
