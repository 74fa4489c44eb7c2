import { join } from 'node:path'
import { expect, it } from 'vitest'
import { backupCluster, nameOf, planFix } from '../../../src/cluster/index.js'
import { slotOf } from '../../../src/keys/slots.js'
import { expectClean } from '../../helpers/check-clean.js'
import { shardq } from '../../helpers/cli.js'
import { CONTROLS } from '../../helpers/controls.js'
import { owns, tell, tellAll } from '../../helpers/nodes.js'
import { ownCluster } from '../../helpers/own-cluster.js'
import { tempDir } from '../../helpers/temp-dir.js'
import { onTerminal } from '../../helpers/terminal.js'

/** Erases the line that tells of a failure, and draws a success in its place. */
const DRAWN =
  '\u001b]0;OWNED\u0007\u001b[2K\r\u001b[32m\u2705 restored: 50 keys, all is well\u001b[0m\u009b1A\u202e'
const SHOWN = '\\x1b]0;OWNED\\x07\\x1b[2K\\x0d\\x1b[32m\u2705 restored: 50 keys, all is well'
const KEY = `{x}${DRAWN}`

/** Three masters, with a key of this name on the one that owns its slot. */
async function withKey() {
  const cluster = await ownCluster({ replicasPerMaster: 0 })
  const slot = slotOf(KEY)
  const masters = (await cluster.status()).nodes
  const owner = masters.find((node) => owns(node, slot))
  const other = masters.find((node) => node !== owner)
  if (!owner || !other) throw new Error('no owner')
  return { cluster, slot, owner, other }
}

/** As text, as JSON and on a terminal. @returns the first two, where the command ends with 1 */
async function saidBy(args: readonly string[]): Promise<string> {
  const [plain, json] = [await shardq(args), await shardq([...args, '--json'])]
  const said = [plain.stdout, plain.stderr, json.stdout, json.stderr].join('\n')
  expect([plain.code, json.code, said]).toEqual([1, 1, said])
  expect(CONTROLS.exec(said)).toBeNull()
  const terminal = onTerminal(args)
  expect(await terminal.closed).toBe(1)
  expect(terminal.text).not.toContain('\u001b]0;OWNED')
  expect(terminal.text).not.toContain('\r\u001b[32m\u2705')
  expect(terminal.text).not.toContain('\u202e')
  return said
}

it('the name of a key that keeps a backup from being restored draws nothing on the terminal', async () => {
  const folder = join(await tempDir(), 'backup')
  const { cluster, owner } = await withKey()
  await backupCluster(cluster.seeds, folder)
  await tell(owner.port, 'SET', KEY, 1)
  expect(await saidBy(['cluster', 'restore', '--from', folder, '--node', nameOf(owner)])).toContain(SHOWN)
  expect(await tell(owner.port, 'GET', KEY)).toBe('1')
  await expectClean(owner)
})

it('nor does that of a key which is too big to be moved; and nothing is left half moved', async () => {
  const { cluster, owner } = await withKey()
  // More than the owner keeps.
  const keys = Array.from({ length: 1_000 }, (_, i) => `{x${i}}${DRAWN}`)
    .filter((key) => owns(owner, slotOf(key)))
    .slice(0, 4)
  for (const key of keys) await tell(owner.port, 'SETRANGE', key, 1_500_000, 'x')
  const args = ['cluster', 'rebalance', '--yes', '--node', nameOf(owner), '--big-key-mb', '1']
  const said = await saidBy([...args, '--weight', `${nameOf(owner)}=0.0001`])
  expect(said).toContain(SHOWN)
  expect(said).toContain('is over 1.0 MB')
  for (const key of keys) expect(await tell(owner.port, 'STRLEN', key)).toBe('1500001')
  expect((await planFix(cluster.seeds)).steps).toEqual([])
  await expectClean(owner)
})

it('nor does that of a key which two nodes have, and not the same', async () => {
  const { owner, other, slot } = await withKey()
  await tell(owner.port, 'SET', KEY, 'here')
  await tell(other.port, 'CLUSTER', 'SETSLOT', slot, 'IMPORTING', owner.id)
  await tellAll(other.port, [['ASKING'], ['SET', KEY, 'there']])
  await tell(owner.port, 'CLUSTER', 'SETSLOT', slot, 'MIGRATING', other.id)
  expect(await saidBy(['cluster', 'fix', '--yes', '--node', nameOf(owner)])).toContain(SHOWN)
  expect(await tellAll(owner.port, [['GET', KEY]])).toEqual(['here'])
  expect(await tellAll(other.port, [['ASKING'], ['GET', KEY]])).toEqual(['OK', 'there'])
})
