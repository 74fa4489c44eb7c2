import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { beforeEach, expect, it, onTestFinished } from 'vitest'
import { startSingle } from '../../../src/cluster/index.js'
import { MAIN } from '../../helpers/cli.js'

let metrics: { child: ChildProcess; port: number; url: string }

beforeEach(async () => {
  const server = await startSingle()
  onTestFinished(() => server.stop())
  const args = [MAIN, 'metrics', '--node', `${server.host}:${server.port}`, '--port', '0']
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  for await (const line of createInterface({ input: child.stdout })) {
    const port = /^http:\/\/127\.0\.0\.1:(\d+)\/metrics/.exec(line)?.[1]
    if (port === undefined) continue
    metrics = { child, port: Number(port), url: `http://127.0.0.1:${port}` }
    break
  }
})

/** As it is written here: `fetch` would tidy the path. */
async function statusOf(method: string, path: string, headers: Record<string, string> = {}): Promise<number> {
  const asked = request({ port: metrics.port, host: '127.0.0.1', method, path, headers })
  // Whoever was refused is hung up on; before the response, that is an error of `once`.
  asked.on('error', () => undefined).end()
  const [response] = (await once(asked, 'response')) as [{ statusCode: number; resume(): void }]
  response.resume()
  return response.statusCode
}

async function open(text: string): Promise<Socket> {
  const socket = connect(metrics.port, '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  socket.write(text)
  return socket
}

async function expectServing(): Promise<void> {
  const response = await fetch(`${metrics.url}/metrics`, { signal: AbortSignal.timeout(5_000) })
  expect(response.status).toBe(200)
  expect(await response.text()).toMatch(/^redis_up\{.*\} 1$/m)
  expect(metrics.child.exitCode).toBeNull()
}

it('there is nothing to be had but what is offered, and nothing to be changed', async () => {
  for (const path of ['/', '/metrics', '/healthz', '/readyz'])
    expect([path, await statusOf('GET', path)]).toEqual([path, 200])
  for (const path of ['/../../etc/passwd', '/%2e%2e/%2e%2e/etc/passwd', '/metrics/../../etc/passwd', '/none'])
    expect([path, await statusOf('GET', path)]).toEqual([path, 404])
  for (const method of ['POST', 'PUT', 'DELETE', 'TRACE', 'OPTIONS', 'PATCH'])
    expect([method, await statusOf(method, '/metrics')]).toEqual([method, 404])
  expect(await statusOf('HEAD', '/metrics')).toBe(200)
  await expectServing()
})

it('a header that is too large, and what is no HTTP at all, are refused, and the next one is served', async () => {
  expect(await statusOf('GET', '/metrics', { 'X-Large': 'a'.repeat(20_000) })).toBe(431)
  const [reply] = (await once(await open('GARBAGE\r\n\r\n'), 'data')) as [Buffer]
  expect(String(reply)).toMatch(/^HTTP\/1\.1 400 /)
  await once((await open('\u0000\u0001\u0002'.repeat(1_000))).resume(), 'close')
  await expectServing()
})

it('five hundred who began to ask and do not go on hold up neither a scrape nor the end', async () => {
  await Promise.all(Array.from({ length: 500 }, () => open('GET /metrics HTTP/1.1\r\nX')))
  await expectServing()
  const exit = once(metrics.child, 'exit')
  metrics.child.kill('SIGTERM')
  expect(await exit).toEqual([0, null])
})
