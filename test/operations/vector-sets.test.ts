import { join } from 'node:path'
import { expect, it } from 'vitest'
import { ensureRedis8 } from '../../scripts/find-redis8.js'
import { backupCluster, type LocalCluster, restoreCluster, verifyBackup } from '../../src/cluster/index.js'
import { NodeLink } from '../../src/cluster/link.js'
import { isSame } from '../../src/cluster/move/content.js'
import { slotOf } from '../../src/keys/slots.js'
import { ownCluster } from '../helpers/own-cluster.js'
import { tempDir } from '../helpers/temp-dir.js'

const { path: redisPath } = await ensureRedis8()
const FORMS = ['Q8', 'NOQUANT', 'BIN'] as const
const ELEMENTS = 1_200

const ofForm = (form: string) => `vectors as ${form}`

async function linkTo(cluster: LocalCluster, key: string): Promise<NodeLink> {
  const owns = (node: { slots: readonly (readonly [number, number])[] }) =>
    node.slots.some(([from, to]) => from <= slotOf(key) && slotOf(key) <= to)
  const node = (await cluster.status()).nodes.find(owns)
  if (!node) throw new Error(`nobody owns ${key}`)
  return NodeLink.open(node, { timeoutMs: 10_000 })
}

async function fill(link: NodeLink, key: string, form: string): Promise<void> {
  for (let i = 0; i < ELEMENTS; i++) {
    const vector = [Math.sin(i), Math.cos(i), i / ELEMENTS]
    await link.text('VADD', key, 'VALUES', 3, ...vector, `element ${i}`, form, 'SETATTR', `{"n":${i}}`)
  }
}

it('vector sets of every form are backed up and restored, and told from others', async () => {
  const [from, to] = await Promise.all([
    ownCluster({ replicasPerMaster: 0, redisPath }),
    ownCluster({ replicasPerMaster: 0, redisPath }),
  ])
  const sources = await Promise.all(FORMS.map((form) => linkTo(from, ofForm(form))))
  await Promise.all(FORMS.map((form, i) => fill(sources[i] as NodeLink, ofForm(form), form)))
  const folder = join(await tempDir(), 'backup')
  await backupCluster(from.seeds, folder)
  expect((await verifyBackup(folder, { redisPath })).faults).toEqual([])
  const { keys } = await restoreCluster(folder, to.seeds, { redisPath, bigKeyBytes: 200_000 })
  expect(keys).toBe(FORMS.length)

  for (const [i, form] of FORMS.entries()) {
    const key = ofForm(form)
    const [source, target] = [sources[i] as NodeLink, await linkTo(to, key)]
    const same = () =>
      isSame({ link: source, asking: false }, { link: target, asking: false }, Buffer.from(key), 'exact')
    expect(await same()).toBe(true)
    for (const change of [
      ['VREM', key, 'element 7'],
      ['VSETATTR', key, 'element 8', '{"n":-1}'],
      ['VADD', key, 'VALUES', 3, -1, -1, -1, 'element 9', form],
      ['VADD', key, 'VALUES', 3, 1, 1, 1, 'another', form],
    ] as [string, ...(string | number)[]][]) {
      await target.text(...change)
      expect([form, change[0], await same()]).toEqual([form, change[0], false])
      await source.text(...change)
      expect([form, change[0], await same()]).toEqual([form, change[0], true])
    }
    target.close()
    source.close()
  }
}, 120_000)
