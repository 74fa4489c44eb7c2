import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { MAIN } from '../../helpers/cli.js'
import { Exposition } from '../../helpers/exposition.js'
import { type HostileCluster, openHostileCluster, QUEUE } from '../../helpers/hostile-cluster.js'
import {
  commandNames,
  FORMS,
  INVOCATIONS,
  quickOf,
  Runner,
  type Scene,
} from '../../helpers/hostile-commands.js'
import { HOSTILE } from '../../helpers/hostile-names.js'
import { faultsIn } from '../../helpers/hostile-output.js'
import { tempDir } from '../../helpers/temp-dir.js'

it('knows every command, and no other', () => {
  expect(Object.keys(INVOCATIONS).sort()).toEqual(commandNames().sort())
})

describe('in a cluster in which all names are hostile', () => {
  let hostile: HostileCluster
  let runners: readonly Runner[] = []
  beforeAll(async () => {
    hostile = await openHostileCluster()
    runners = await Promise.all(FORMS.map((form) => Runner.start(form)))
  })
  afterAll(async () => {
    for (const runner of runners) runner.stop()
    await hostile.dispose()
  })

  it.each(Object.keys(INVOCATIONS))('shardq %s writes nothing that is carried out', async (name) => {
    const cwd = await tempDir()
    const folder = join(cwd, "hx \u001b]0;x\u0007\u202e$(touch PWNED)'\n✓ FORGED")
    await mkdir(folder)
    const { cluster, node, oddQueue, backup } = hostile
    const scene: Scene = { node, queue: QUEUE, oddQueue, backup, folder, dataDir: cluster.dataDir }
    for (const invocation of quickOf(name, scene)) {
      const each = runners.map(async (runner) =>
        faultsIn(await runner.run(name, invocation, { cwd }), runner.form),
      )
      const faults = (await Promise.all(each)).flat()
      expect(faults, invocation.args.join(' ')).toEqual([])
    }
    expect(existsSync(join(cwd, 'PWNED'))).toBe(false)
  })

  const json = async (name: string, ...args: string[]) => {
    const runner = runners.find(({ form }) => form === 'json')
    const ended = await runner?.run(name, { args: ['--node', hostile.node, ...args] }, { cwd: '/' })
    return JSON.parse(ended?.stdout ?? '') as unknown
  }

  it('has the names themselves in JSON', async () => {
    const { queues } = (await json('queue list')) as { queues: { name: string }[] }
    expect(queues.map(({ name }) => name).sort()).toEqual([...hostile.queues].sort())
    const { items } = (await json('queue dead list', QUEUE, '--limit', '1000')) as {
      items: { type: string; error: { name: string; message: string } }[]
    }
    const accepted = Object.values(HOSTILE).length - (hostile.refused.get('task types') ?? 0)
    expect(new Set(items.map(({ type }) => type)).size).toBe(accepted + 1)
    expect(items.map(({ error }) => error.name)).toContain(HOSTILE['a title of the window'])
  })

  it('refuses as names what has controls or braces, and takes the others', () => {
    const names = Object.values(HOSTILE)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    const wrong = names.filter((name) => name.length > 200 || /[{}\u0000-\u001f\u007f]/.test(name))
    expect(hostile.refused.get('queue names')).toBe(wrong.length)
    expect(hostile.queues).toHaveLength(names.length - wrong.length + 1)
  })

  it('has metrics that Prometheus can read', async () => {
    const endpoint = await startHostileMetrics(hostile.node)
    const exposition = await Exposition.of(endpoint)
    const found = new Set(exposition.all('task_queue_enqueued_total').map(({ labels }) => labels.queue))
    expect([...found].sort()).toEqual(hostile.queues.map(escapedLabel).sort())
  })
})

/** As it stands in the text format. */
const escapedLabel = (text: string) =>
  text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')

/** @returns its URL */
async function startHostileMetrics(node: string): Promise<string> {
  const child = spawn(process.execPath, [MAIN, 'metrics', '--json', '--port', '0', '--node', node], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  let text = ''
  for await (const chunk of child.stdout) {
    text += String(chunk)
    if (text.endsWith('}\n')) break
  }
  return (JSON.parse(text) as { url: string }).url
}
