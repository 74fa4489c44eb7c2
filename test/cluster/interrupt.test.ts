import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import {
  DataDirError,
  freePorts,
  InterruptedError,
  startCluster,
  stopCluster,
  type UpStep,
} from '../../src/cluster/index.js'
import { isListening } from '../../src/cluster/ports.js'
import { shardq, signalOnce } from '../helpers/cli.js'
import { ownCluster } from '../helpers/own-cluster.js'
import { tempDir } from '../helpers/temp-dir.js'

test.each(['server', 'folder', 'config', 'started', 'slots'] satisfies UpStep['step'][])(
  'interrupted at the step %s, up leaves no process and no file',
  async (at) => {
    const dir = await tempDir()
    const ports = await freePorts(6)
    const interrupt = new AbortController()
    const up = startCluster({
      ports,
      dataDir: join(dir, 'cluster'),
      signal: interrupt.signal,
      onStep: ({ step }) => {
        if (step === at) interrupt.abort()
      },
    })
    await expect(up).rejects.toThrow(InterruptedError)
    expect(await readdir(dir)).toEqual([])
    for (const port of ports) expect(await isListening(port)).toBe(false)
  },
)

test('interrupted while it restarts a stopped cluster, up keeps the data', async () => {
  const cluster = await ownCluster()
  await cluster.stop()
  const interrupt = new AbortController()
  const up = startCluster({
    dataDir: cluster.dataDir,
    signal: interrupt.signal,
    onStep: ({ step }) => {
      if (step === 'started') interrupt.abort()
    },
  })
  await expect(up).rejects.toThrow(InterruptedError)
  for (const { port } of cluster.nodes) expect(await isListening(port)).toBe(false)
  expect((await startCluster({ dataDir: cluster.dataDir })).outcome).toBe('restarted')
})

test.each(['SIGINT', 'SIGTERM'] as const)('%s to the command line does the same', async (signal) => {
  const dir = await tempDir()
  const dataDir = join(dir, 'cluster')
  const [base = 0] = await freePorts(1)
  const result = await shardq(['cluster', 'up', '--base-port', String(base), '--data-dir', dataDir], {
    onSpawn: signalOnce(signal, (stdout) => stdout.includes('Started node')),
  })
  expect(result.stderr).toContain('interrupted')
  expect(result.code).toBe(1)
  expect(await readdir(dir)).toEqual([])
})

test('an up that was killed outright is cleared away by the next one', async () => {
  const dir = await tempDir()
  const dataDir = join(dir, 'cluster')
  const [base = 0] = await freePorts(1)
  const args = ['cluster', 'up', '--base-port', String(base), '--data-dir', dataDir]
  let meanwhile: Promise<unknown> | undefined
  await shardq(args, {
    onSpawn: (child) => {
      child.stdout?.on('data', (text: Buffer) => {
        if (meanwhile || !text.toString().includes('Started node')) return
        // While it is at work, another one keeps out of its way.
        meanwhile = startCluster({ dataDir }).catch((error: unknown) => error)
        void meanwhile.then(() => child.kill('SIGKILL'))
      })
    },
  })
  expect(await meanwhile).toBeInstanceOf(DataDirError)
  const cluster = await startCluster({ dataDir, basePort: base })
  expect(cluster.outcome).toBe('created')
  await stopCluster({ dataDir, remove: true })
  expect(await readdir(dir)).toEqual([])
})
