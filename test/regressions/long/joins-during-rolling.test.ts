import { chmod, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import {
  findServer,
  type LocalCluster,
  planRolling,
  type RollingOptions,
  RollingStoppedError,
} from '../../../src/cluster/index.js'
import { openBareServers, RESTART } from '../../helpers/bare-servers.js'
import { tell } from '../../helpers/nodes.js'
import { openCluster } from '../../helpers/own-cluster.js'
import { tempDir } from '../../helpers/temp-dir.js'
import { until } from '../../helpers/until.js'

/** A node that was brought in with redis-cli while a rolling restart ran was restarted again and again, and none after it was reached. */
let cluster: LocalCluster
let dispose: () => Promise<void>
let log: string
beforeEach(async () => {
  ;({ cluster, dispose } = await openCluster())
  log = join(await tempDir(), 'log')
  await writeFile(log, '')
})
afterEach(() => dispose?.())

const restarts = async () => (await readFile(log, 'utf8')).split('\n').filter(Boolean)

/** Each restart is written down; the eighth would be one too many of whatever node. */
async function byCommand(folder: string): Promise<string> {
  const script = join(cluster.dataDir, 'restart')
  await writeFile(
    script,
    `echo $3 >> '${log}'; [ $(wc -l < '${log}') -gt 7 ] && { echo once too often; exit 3; }\n${RESTART}`,
  )
  const { path } = await findServer()
  const own = `'${cluster.dataDir}/node_{port}'`
  return `d=${own}; [ -d $d ] || d='${folder}/node_{port}'; sh '${script}' '${path}' $d {port}`
}

/** A replica of the first master is brought in, by nobody who takes a lock, while the second step is under way. */
async function rollWhileOneJoins(evenIfChanged: boolean) {
  const bare = await openBareServers(1, { settings: { 'cluster-node-timeout': '1000' } })
  const port = bare.nodes[0]?.port ?? 0
  const master = (await cluster.status()).nodes.find(({ role }) => role === 'master')
  const join = async () => {
    await tell(port, 'CLUSTER', 'MEET', '127.0.0.1', master?.port ?? 0)
    await until(
      'it knows its master',
      () => tell(port, 'CLUSTER', 'NODES'),
      (view) => view.includes(master?.id ?? '?'),
    )
    await tell(port, 'CLUSTER', 'REPLICATE', master?.id ?? '')
  }
  let begun = 0
  let joining: Promise<void> | undefined
  const notes: string[] = []
  const options: RollingOptions = {
    restartCommand: await byCommand(bare.folder),
    comeBackMs: 20_000,
    onProgress: (progress) => {
      if (progress.state === 'note') notes.push(progress.text)
      if (progress.state === 'begun' && ++begun === 2) joining = join()
    },
  }
  try {
    const result = await (await planRolling(cluster.seeds, options))
      .run({ evenIfChanged })
      .catch((error: unknown) => {
        expect(error).toBeInstanceOf(RollingStoppedError)
        return error as RollingStoppedError
      })
    await joining
    return { result, notes, port, again: () => planRolling(cluster.seeds, options), end: bare.dispose }
  } catch (error) {
    await bare.dispose()
    throw error
  }
}

it('stops where it was agreed to six nodes and there are seven, and goes on with all when that is agreed to', async () => {
  const { result, port, again, end } = await rollWhileOneJoins(false)
  try {
    expect(String(result)).toMatch(
      new RegExp(`stopped with 2 of 7 nodes done: 127.0.0.1:${port} has joined .*agreed.*run it again`),
    )
    expect(await restarts()).toHaveLength(2)
    const plan = await again()
    expect(plan.steps.filter(({ step }) => step.kind === 'restart')).toHaveLength(5)
    expect(await plan.run()).toMatchObject({ left: [], interrupted: false })
    expect(new Set(await restarts()).size).toBe(7)
    expect(await restarts()).toHaveLength(7)
  } finally {
    await end()
  }
}, 120_000)

it('restarts it once where it was agreed to whatever there is', async () => {
  const { result, notes, port, end } = await rollWhileOneJoins(true)
  try {
    expect(result).toMatchObject({ left: [], interrupted: false })
    expect(notes).toContainEqual(expect.stringContaining(`127.0.0.1:${port} has joined`))
    expect((await restarts()).filter((each) => each === `${port}`)).toHaveLength(1)
    expect(await restarts()).toHaveLength(7)
  } finally {
    await end()
  }
}, 120_000)

it('restarts no node twice, though it never says that it runs what was asked for', async () => {
  const { path } = await findServer()
  const wrapper = join(await tempDir(), 'redis-server')
  // As some packages wrap it: what runs in the end is another program, by its own word.
  await writeFile(wrapper, `#!/bin/sh\necho start >> '${log}'\nexec '${path}' "$@"\n`)
  await chmod(wrapper, 0o755)
  const enough = new AbortController()
  let begun = 0
  const plan = await planRolling(cluster.seeds, {
    dataDir: cluster.dataDir,
    redisPath: wrapper,
    signal: enough.signal,
    onProgress: ({ state }) => {
      if (state === 'begun' && ++begun > 3) enough.abort()
    },
  })
  const error = await plan.run().catch((each: unknown) => each)
  expect(error).toBeInstanceOf(RollingStoppedError)
  expect(String(error)).toContain(`was restarted and runs ${path} `)
  expect((await restarts()).filter((each) => each === 'start')).toHaveLength(2)
}, 120_000)
