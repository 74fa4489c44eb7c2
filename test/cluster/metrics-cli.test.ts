import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { createInterface } from 'node:readline'
import { expect, inject, onTestFinished, test } from 'vitest'
import { startSingle } from '../../src/cluster/index.js'
import { MAIN, shardq } from '../helpers/cli.js'
import { Exposition } from '../helpers/exposition.js'

const seed = `127.0.0.1:${inject('cluster').nodes[0]?.port}`

interface Running {
  readonly child: ChildProcess
  readonly lines: string[]
}

/** Runs it until it has said so much, and ends it with the test. */
async function running(
  args: readonly string[],
  until: RegExp,
  env: NodeJS.ProcessEnv = {},
): Promise<Running> {
  const child = spawn(process.execPath, [MAIN, 'metrics', '--port', '0', ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const lines: string[] = []
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line)
    if (until.test(line)) break
  }
  return { child, lines }
}

test.each(['SIGTERM', 'SIGINT'] as const)(
  '--json: one document once it listens; %s ends it well',
  async (signal) => {
    const { child, lines } = await running(['--node', seed, '--json'], /^}$/)
    const document = JSON.parse(lines.join('\n')) as { url: string; metrics: string; port: number }
    expect(document).toEqual({
      url: `http://127.0.0.1:${document.port}`,
      host: '127.0.0.1',
      port: document.port,
      metrics: `http://127.0.0.1:${document.port}/metrics`,
    })
    expect((await Exposition.of(document.url)).values('redis_up')).toEqual([1, 1, 1, 1, 1, 1])
    const exit = once(child, 'exit')
    child.kill(signal)
    expect(await exit).toEqual([0, null])
    await expect(fetch(`${document.url}/healthz`)).rejects.toThrow()
  },
)

test('who only holds a connection open does not hold up the end', async () => {
  const { child, lines } = await running(['--node', seed, '--json', '--timeout-ms', '200'], /^}$/)
  const { port } = JSON.parse(lines.join('\n')) as { port: number }
  const socket = connect(port, '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  await once(socket, 'connect')
  const exit = once(child, 'exit')
  child.kill('SIGTERM')
  expect(await exit).toEqual([0, null])
})

test('for people it says where to look', async () => {
  const { lines } = await running(['--node', seed], /healthz/)
  expect(lines).toEqual([expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+\/metrics/)])
})

test('a port that is taken: exit 1, and what to do', async () => {
  const holder = createServer().listen(0, '127.0.0.1')
  await once(holder, 'listening')
  onTestFinished(() => void holder.close())
  const { port } = holder.address() as { port: number }
  const { code, stderr } = await shardq(['metrics', '--node', seed, '--port', String(port)])
  expect(code).toBe(1)
  expect(stderr).toContain(`cannot listen on 127.0.0.1:${port}`)
  expect(stderr).toContain('--port')
})

test('passwords are used, and never told', async () => {
  const password = 'wet-paint-7f3a'
  const single = await startSingle({ settings: { requirepass: password } })
  onTestFinished(() => single.stop())
  const node = `${single.host}:${single.port}`
  for (const [given, up] of [
    [password, 1],
    [`${password}-not`, 0],
  ] as const) {
    const { lines } = await running(['--node', node, '--json'], /^}$/, { SHARDQ_REDIS_PASSWORD: given })
    const { url } = JSON.parse(lines.join('\n')) as { url: string }
    expect((await Exposition.of(url)).values('redis_up')).toEqual([up])
    const ready = await fetch(`${url}/readyz`)
    expect(ready.status).toBe(up === 1 ? 200 : 503)
    const told = [...lines, await ready.text(), await (await fetch(`${url}/metrics`)).text()].join('\n')
    expect(told).not.toContain(password)
  }
})
