import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { nameOf } from '../../../src/cluster/index.js'
import { openHostileCluster, QUEUE } from '../../helpers/hostile-cluster.js'
import { FORMS, INVOCATIONS, Runner, type Scene } from '../../helpers/hostile-commands.js'
import { LIES } from '../../helpers/hostile-lies.js'
import { HOSTILE, HOSTILE_NAMES } from '../../helpers/hostile-names.js'
import { hostileNode } from '../../helpers/hostile-node.js'
import { faultsIn } from '../../helpers/hostile-output.js'
import { tempDir } from '../../helpers/temp-dir.js'

let runners: readonly Runner[] = []
beforeAll(async () => {
  runners = await Promise.all(FORMS.map((form) => Runner.start(form)))
})
afterAll(() => {
  for (const runner of runners) runner.stop()
})

async function expectHarmless(
  scene: Scene,
  names: readonly string[],
  cwd: string,
  most = Number.POSITIVE_INFINITY,
): Promise<void> {
  for (const name of names)
    for (const invocation of (INVOCATIONS[name]?.(scene) ?? []).slice(0, most)) {
      const each = runners.map(async (runner) =>
        faultsIn(await runner.run(name, invocation, { cwd }), runner.form),
      )
      expect((await Promise.all(each)).flat(), `${name} ${invocation.args.join(' ')}`).toEqual([])
    }
}

it('no command carries out a name of a cluster, however it is called', { timeout: 600_000 }, async () => {
  const hostile = await openHostileCluster()
  try {
    const cwd = await tempDir()
    const folder = join(cwd, 'hx \u001b[2J')
    await mkdir(folder)
    const { cluster, node, oddQueue, backup } = hostile
    const scene = { node, queue: QUEUE, oddQueue, backup, folder, dataDir: cluster.dataDir }
    await expectHarmless(scene, Object.keys(INVOCATIONS), cwd)
  } finally {
    await hostile.dispose()
  }
})

/** Each place with each text, by those commands that tell most of a node; and with all commands, one text. */
const TELLING = ['cluster status', 'cluster fix', 'queue stats']

describe.each(Object.keys(LIES))('a node whose %s is', (place) => {
  const sceneOf = async (text: string, cwd: string) => {
    const folder = join(cwd, 'hx')
    await mkdir(folder, { recursive: true })
    const node = nameOf(await hostileNode(LIES[place]?.(text) ?? {}))
    return { node, queue: 'q', oddQueue: 'q', folder, backup: folder, dataDir: folder }
  }

  it.each(HOSTILE_NAMES)('%s', { timeout: 120_000 }, async (name) => {
    const cwd = await tempDir()
    await expectHarmless(await sceneOf(HOSTILE[name], cwd), TELLING, cwd, 1)
  })

  it('a title, by all commands', { timeout: 600_000 }, async () => {
    const cwd = await tempDir()
    await expectHarmless(await sceneOf(HOSTILE['a title of the window'], cwd), Object.keys(INVOCATIONS), cwd)
  })
})
