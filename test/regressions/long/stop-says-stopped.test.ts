import { cp, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { freePorts, startCluster, stopCluster } from '../../../src/cluster/index.js'
import { processStamp } from '../../../src/cluster/processes.js'
import { shellWord } from '../../../src/shell.js'
import { shardq } from '../../helpers/cli.js'
import { tempDir } from '../../helpers/temp-dir.js'

test('`cluster stop` says that it has stopped what it has stopped, and no more', async () => {
  const dir = await tempDir()
  const [original, copy, moved] = ['original', 'copy', 'moved'].map((name) => join(dir, name)) as [
    string,
    string,
    string,
  ]
  for (const dataDir of [original, moved])
    onTestFinished(() => stopCluster({ dataDir, remove: true }).then(() => {}))
  const ports = await freePorts(3)
  const { nodes } = await startCluster({ dataDir: original, ports, replicasPerMaster: 0 })
  const alive = async () => (await Promise.all(nodes.map(({ pid }) => processStamp(pid)))).filter(Boolean)

  // Of a copy nothing runs; its ports are those of the original.
  await cp(original, copy, { recursive: true })
  const left = await shardq(['cluster', 'stop', '--data-dir', copy])
  expect(left.code).toBe(1)
  expect(left.stdout).not.toContain('Stopped')
  expect(left.stdout).toContain('Nothing was stopped: 3 of 3 ports are held by')
  expect(left.stdout).toContain(`shardq cluster stop --data-dir ${shellWord(original)}`)
  const json = await shardq(['cluster', 'stop', '--data-dir', copy, '--json'])
  expect(json.code).toBe(1)
  expect(JSON.parse(json.stdout).nodes[0]).toMatchObject({
    outcome: 'foreign',
    holder: { dataDir: original },
  })
  // Nothing that is meant for the copy is done to the original.
  for (const command of [['status'], ['fix', '--yes'], ['check']]) {
    const other = await shardq(['cluster', ...command, '--data-dir', copy])
    expect(other.code).toBe(1)
    expect(other.stderr).toContain(`held by a node of the cluster in ${original}`)
  }
  expect(await alive()).toHaveLength(3)

  // Servers of a folder that was moved work in it still.
  await rename(original, moved)
  const stop = await shardq(['cluster', 'stop', '--data-dir', moved])
  expect(stop).toMatchObject({ code: 0, stderr: '' })
  expect(stop.stdout).toContain('✅ Stopped.')
  expect(await alive()).toHaveLength(0)
})
