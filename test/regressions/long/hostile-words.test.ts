import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Command } from 'commander'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createProgram } from '../../../src/cli/program.js'
import { FORMS, INVOCATIONS, Runner } from '../../helpers/hostile-commands.js'
import { hostileManifest, writeManifest } from '../../helpers/hostile-manifest.js'
import { HOSTILE, HOSTILE_NAMES } from '../../helpers/hostile-names.js'
import { faultsIn } from '../../helpers/hostile-output.js'
import { tempDir } from '../../helpers/temp-dir.js'

/** No process can be given a NUL as a word. */
const WORDS = HOSTILE_NAMES.filter((name) => !HOSTILE[name].includes('\u0000')).map((name) => HOSTILE[name])
const MIXED = WORDS.filter((text) => text.length < 1_000).join('')

let runners: readonly Runner[] = []
beforeAll(async () => {
  runners = await Promise.all(FORMS.map((form) => Runner.start(form)))
})
afterAll(() => {
  for (const runner of runners) runner.stop()
})

async function faults(name: string, args: readonly string[], cwd: string, env: NodeJS.ProcessEnv = {}) {
  const each = runners.map(async (runner) =>
    faultsIn(await runner.run(name, { args }, { cwd, env }), runner.form).map(
      (fault) => `${name} ${JSON.stringify(args)}: ${fault}`,
    ),
  )
  return (await Promise.all(each)).flat()
}

describe.each(Object.keys(INVOCATIONS))('shardq %s', (name) => {
  it('writes nothing that is carried out of the words that it is given', async () => {
    const cwd = await tempDir()
    const command = name
      .split(' ')
      .reduce<Command | undefined>(
        (above, word) => above?.commands.find((each) => each.name() === word),
        createProgram(),
      )
    const options = command?.options.filter(({ required, optional }) => required || optional) ?? []
    // A folder in which nothing is, so that none of them finds a cluster to do something to.
    const nowhere = command?.options.some(({ long }) => long === '--data-dir') ? ['--data-dir', 'none'] : []
    const noServer = command?.options.some(({ long }) => long === '--redis-path')
      ? ['--redis-path', 'none']
      : []
    const isNodeNamed = nowhere.length === 0 && command?.options.some(({ long }) => long === '--node')
    const noNode = isNodeNamed ? ['--node', '127.0.0.1:1'] : []
    // It is refused before keys are made, which takes seconds.
    const noHost = name === 'cluster certificates' ? ['--host', '!'] : []
    const found = [await faults(name, [`--${MIXED}`], cwd)]
    for (const { long } of options)
      found.push(await faults(name, [...nowhere, ...noServer, ...noHost, `${long}=${MIXED}`], cwd))
    const places = command?.registeredArguments.map(() => MIXED) ?? []
    if (places.length > 0)
      found.push(await faults(name, [...nowhere, ...noServer, ...noNode, '--', ...places], cwd))
    expect(found.flat()).toEqual([])
  })
})

describe('what is not typed', () => {
  it.each([
    'SHARDQ_REDIS_NODES',
    'SHARDQ_REDIS_URL',
    'SHARDQ_REDIS_USERNAME',
    'SHARDQ_REDIS_TLS',
    'SHARDQ_REDIS_TLS_CA_FILE',
    'SHARDQ_REDIS_PASSWORD_FILE',
    'SHARDQ_REDIS_PATH',
  ])('the variable %s', async (variable) => {
    const cwd = await tempDir()
    const env = { [variable]: MIXED }
    for (const name of ['cluster status', 'queue list']) expect(await faults(name, [], cwd, env)).toEqual([])
  })

  it.each(['url', 'mode', 'nodes', 'tls', 'another'])('a configuration: %s', async (field) => {
    const cwd = await tempDir()
    const text = JSON.stringify({ redis: { mode: 'cluster', [field]: MIXED }, [MIXED]: MIXED })
    // YAML has JSON in it; and once what is neither.
    for (const [file, content] of [
      ['c.yaml', text],
      ['broken.yaml', `redis: ${MIXED}`],
      [`hx ${'\u001b[2J\u202e'}.yaml`, text],
    ] as const) {
      await writeFile(join(cwd, file), content)
      for (const name of ['cluster status', 'queue list'])
        expect(await faults(name, ['--config', file], cwd)).toEqual([])
    }
  })

  it('the file that a data folder is known by', async () => {
    const cwd = await tempDir()
    await mkdir(join(cwd, 'data'))
    for (const content of [
      MIXED,
      JSON.stringify({ version: MIXED, ports: [MIXED], redisPath: MIXED, [MIXED]: MIXED }),
      '{}',
    ]) {
      await writeFile(join(cwd, 'data/cluster.json'), content)
      for (const name of ['cluster up', 'cluster stop', 'cluster status'])
        expect(await faults(name, ['--data-dir', 'data'], cwd)).toEqual([])
    }
  })

  it('a backup', async () => {
    const cwd = await tempDir()
    const folder = join(cwd, 'backup')
    await mkdir(folder)
    const manifest = hostileManifest(MIXED)
    for (const content of [
      JSON.stringify(manifest),
      MIXED,
      JSON.stringify({ ...manifest, shards: [{ file: MIXED }] }),
    ]) {
      await writeManifest(folder, content)
      await writeFile(join(folder, `hx\u001b]0;x\u0007\n✓ FORGED`), '')
      expect(await readFile(join(folder, 'backup.json'), 'utf8')).toBe(content)
      expect(await faults('cluster backup verify', [folder], cwd)).toEqual([])
      expect(await faults('cluster restore', ['--from', folder, '--node', '127.0.0.1:1'], cwd)).toEqual([])
    }
  })
})
