import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { expect, it, onTestFinished } from 'vitest'
import { withLink } from '../../../src/cluster/link.js'
import { makeCertificates } from '../../../src/cluster.js'
import type { ConnectionOptions } from '../../../src/index.js'
import { letExpire } from '../../helpers/expired.js'
import { ownCluster } from '../../helpers/own-cluster.js'
import { until } from '../../helpers/until.js'

function forkClient(connection: ConnectionOptions): ChildProcess {
  const script = fileURLToPath(new URL('../../helpers/processes/tls-client.ts', import.meta.url))
  const child = fork(script, [], {
    // Not as an argument: it has a key.
    env: { ...process.env, CONNECTION: JSON.stringify(connection) },
    stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
    execArgv: ['--import', 'tsx'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  return child
}

/**
 * A TLS socket may have two errors, its own and then the server's alert. Nobody heard the second, and an error that nobody hears
 * ends the process.
 */
it('a certificate that runs out under open connections is told of, and ends no process', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'shardq-expired-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const { dir } = await makeCertificates({ to: join(folder, 'tls') })
  await makeCertificates({ to: join(folder, 'old'), ca: dir })
  await letExpire(join(folder, 'old'), dir)
  const cluster = await ownCluster({ tls: { dir } })
  const child = forkClient(cluster.connection)
  let errors = ''
  child.stderr?.on('data', (text: Buffer) => {
    errors += text.toString()
  })
  const told: string[] = []
  child.on('message', (message: { told?: string }) => {
    if (message.told !== undefined) told.push(message.told)
  })
  const [first] = await once(child, 'message')
  expect(first).toBe('works')

  const tls = typeof cluster.access.tls === 'object' ? cluster.access.tls : {}
  const access = { ...cluster.access, tls: { ...tls, rejectUnauthorized: false } }
  const files = [
    'tls-cert-file',
    join(folder, 'old', 'node.crt'),
    'tls-key-file',
    join(folder, 'old', 'node.key'),
  ]
  for (const seed of cluster.seeds)
    await withLink(seed, access, (link) => link.text('CONFIG', 'SET', ...files))
  for (let round = 0; round < 3; round++) {
    for (const seed of cluster.seeds)
      await withLink(seed, access, (link) => link.text('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes'))
    await sleep(600)
  }
  await until(
    'it is told',
    async () => told,
    (texts) => texts.some((text) => text.includes('not valid now')),
    10_000,
  )
  expect({ code: child.exitCode, errors }).toEqual({ code: null, errors: '' })
}, 60_000)
