import { describe, expect, inject, test } from 'vitest'
import { withLink } from '../../src/cluster/link.js'
import { shardq } from '../helpers/cli.js'

const { nodes } = inject('cluster')
const seed = `127.0.0.1:${nodes[0]?.port}`

describe('shardq bench', () => {
  test('measures a queue and the floor beneath it, and leaves no key behind', async () => {
    const args = ['bench', '--node', seed, '--tasks', '30000', '--rounds', '1', '--json']
    const { code, stdout, stderr } = await shardq(args)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const { rows } = JSON.parse(stdout) as {
      rows: { contender: string; readings: { perSecond: number }[] }[]
    }
    expect(new Set(rows.map(({ contender }) => contender))).toEqual(new Set(['shardq', 'floor']))
    for (const { readings } of rows) expect(readings[0]?.perSecond).toBeGreaterThan(0)
    for (const { host, port } of nodes) {
      const keys = await withLink({ host, port }, {}, (link) => link.text('KEYS', '*bench-*'))
      expect(keys).toBe('')
    }
  }, 120_000)
})
