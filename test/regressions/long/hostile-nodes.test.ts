import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { nameOf } from '../../../src/cluster/index.js'
import { FORMS, quickOf, Runner } from '../../helpers/hostile-commands.js'
import { LIES } from '../../helpers/hostile-lies.js'
import { HOSTILE } from '../../helpers/hostile-names.js'
import { hostileNode } from '../../helpers/hostile-node.js'
import { faultsIn } from '../../helpers/hostile-output.js'
import { tempDir } from '../../helpers/temp-dir.js'

/** The first way of each in which it only looks. All commands, all texts: test/regressions/long/hostile-nodes.test.ts. */
const LOOKING = [
  'cluster status',
  'cluster check',
  'cluster fix',
  'cluster rebalance',
  'cluster users compare',
  'queue stats',
]
const MIXED = [
  HOSTILE['a title of the window'],
  HOSTILE['the line erased'],
  HOSTILE['a colour that hides'],
  HOSTILE['CSI, one byte'],
  HOSTILE.bidi,
  HOSTILE['nothing to be seen'],
  HOSTILE.NEL,
  HOSTILE['a command in a shell'],
].join('')

let runners: readonly Runner[] = []
beforeAll(async () => {
  runners = await Promise.all(FORMS.map((form) => Runner.start(form)))
})
afterAll(() => {
  for (const runner of runners) runner.stop()
})

describe.each(Object.keys(LIES))('a node whose %s is hostile', (kind) => {
  it('has nothing carried out by any command that looks', async () => {
    const cwd = await tempDir()
    const folder = join(cwd, 'hx')
    await mkdir(folder)
    const node = nameOf(await hostileNode(LIES[kind]?.(MIXED) ?? {}))
    const scene = { node, queue: 'q', oddQueue: 'q', folder, backup: folder, dataDir: folder }
    for (const name of LOOKING) {
      const [invocation] = quickOf(name, scene)
      if (invocation === undefined) throw new Error(`no way to run ${name}`)
      const each = runners.map(async (runner) =>
        faultsIn(await runner.run(name, invocation, { cwd }), runner.form),
      )
      expect((await Promise.all(each)).flat(), name).toEqual([])
    }
  })
})
