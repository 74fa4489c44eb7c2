import { expect } from 'vitest'
import { type Address, nameOf } from '../../src/cluster/index.js'
import { shardq } from './cli.js'

/** `shardq cluster check` finds no error; warnings (a master without replica, no limit of memory) are what tests start with. */
export async function expectClean(node: Address | undefined): Promise<void> {
  if (!node) throw new Error('no node to ask')
  const { code, stdout } = await shardq(['cluster', 'check', '--node', nameOf(node), '--json'])
  const { findings } = JSON.parse(stdout) as { findings: { severity: string }[] }
  expect(findings.filter(({ severity }) => severity === 'error')).toEqual([])
  expect(code).toBe(0)
}
