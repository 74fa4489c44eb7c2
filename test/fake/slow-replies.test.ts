import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it, onTestFinished } from 'vitest'
import { type Lane, Node } from '../../src/connection/node.js'
import { eventually } from '../helpers/behaviour/harness.js'
import { CommandReader } from './resp.js'

const TIMEOUT_MS = 200

/** Answers each command by what `answer` writes; a handshake with OK. */
async function server(
  answer: (words: readonly string[], socket: Socket) => void,
  afterHandshake?: (socket: Socket) => void,
): Promise<Node> {
  const open = new Set<Socket>()
  const listener = createServer({ noDelay: true }, (socket) => {
    open.add(socket)
    socket.on('error', () => socket.destroy()).on('close', () => open.delete(socket))
    const reader = new CommandReader()
    socket.on('data', (chunk: Buffer) => {
      for (const words of reader.read(chunk)) {
        if (words[0] !== 'CLIENT') {
          answer(words, socket)
          continue
        }
        socket.write('+OK\r\n')
        if (afterHandshake) socket.removeAllListeners('data')
        afterHandshake?.(socket)
      }
    })
  })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const { port } = listener.address() as AddressInfo
  const options = { username: undefined, password: undefined, tls: undefined, connectTimeoutMs: TIMEOUT_MS }
  const node = new Node({ host: '127.0.0.1', port }, options, () => {})
  onTestFinished(() => {
    node.stop()
    for (const socket of open) socket.destroy()
    listener.close()
  })
  return node
}

const send = (node: Node, lane: Lane, ...words: string[]) =>
  node.send(lane, 0, [words as [string, ...string[]]], TIMEOUT_MS)

async function trickle(socket: Socket, ms: number): Promise<void> {
  const pieces = Math.round(ms / 50)
  socket.write(`$${pieces}\r\n`)
  for (let i = 0; i < pieces; i++) {
    await sleep(50)
    socket.write('x')
  }
  socket.write('\r\n')
}

it('a reply is waited for as long as it goes on arriving', async () => {
  const node = await server((_, socket) => void trickle(socket, 5 * TIMEOUT_MS))
  const startedMs = performance.now()
  const outcome = await send(node, 'consume', 'GET', 'large')
  expect(outcome).toMatchObject({ ok: true })
  expect(performance.now() - startedMs).toBeGreaterThan(4 * TIMEOUT_MS)
  expect(node.up).toBe(true)
})

it('a reply that stops half way is given up one time-out later, and the node with it', async () => {
  const node = await server((_, socket) => {
    socket.write('$100\r\nx')
    setTimeout(() => socket.write('x'), 100)
  })
  const startedMs = performance.now()
  const outcome = await send(node, 'consume', 'GET', 'large')
  expect(outcome).toMatchObject({ ok: false, fault: { kind: 'timeout' } })
  expect(performance.now() - startedMs).toBeGreaterThanOrEqual(TIMEOUT_MS + 90)
  expect(performance.now() - startedMs).toBeLessThan(TIMEOUT_MS * 3)
  expect(node.up).toBe(false)
})

it('a request is waited for as long as it goes on leaving', async () => {
  const large = 'x'.repeat(64 * 1024 * 1024)
  let received = 0
  // Reads in breaths: 1 MiB, and a rest. What the system keeps for it, 6 MB at most, is read in less than a time-out.
  const node = await server(
    () => {},
    (socket) => {
      socket.on('data', async (chunk: Buffer) => {
        const before = received
        received += chunk.length
        if (received >= large.length) socket.write('+OK\r\n')
        if (Math.floor(before / 2 ** 20) === Math.floor(received / 2 ** 20)) return
        socket.pause()
        await sleep(8)
        socket.resume()
      })
    },
  )
  const startedMs = performance.now()
  expect(await send(node, 'write', 'SET', large)).toMatchObject({ ok: true })
  expect(performance.now() - startedMs).toBeGreaterThan(2 * TIMEOUT_MS)
})

it('one socket that is silent is closed, and the node stays up while another receives', async () => {
  const node = await server(([name], socket) => {
    if (name === 'GET') void trickle(socket, 3 * TIMEOUT_MS)
    if (name === 'PING') socket.write('+PONG\r\n')
  })
  const large = send(node, 'consume', 'GET', 'large')
  await sleep(20)
  expect(await send(node, 'probe', 'CLUSTER', 'NODES')).toMatchObject({
    ok: false,
    fault: { kind: 'timeout' },
  })
  expect(node.up).toBe(true)
  expect(await large).toMatchObject({ ok: true })
  expect(node.up).toBe(true)
})

it('what else was sent on a socket that is given up is a time-out, too, and what comes after has a new one', async () => {
  const node = await server(([name], socket) => {
    if (name === 'GET') void trickle(socket, 4 * TIMEOUT_MS)
    if (name === 'PING') socket.write('+PONG\r\n')
  })
  const large = send(node, 'consume', 'GET', 'large')
  await sleep(20)
  const first = send(node, 'inspect', 'HANG')
  await sleep(50)
  const second = send(node, 'inspect', 'HANG')
  expect(await first).toMatchObject({ ok: false, fault: { kind: 'timeout' } })
  expect(await second).toMatchObject({ ok: false, fault: { kind: 'timeout' } })
  expect(node.up).toBe(true)
  // On the same socket its reply would be taken for one to the first.
  expect(await send(node, 'inspect', 'PING')).toMatchObject({ ok: true })
  await large
})

it('a node that falls silent on all sockets is down one time-out later', async () => {
  let frozen = false
  const node = await server(([name], socket) => {
    if (!frozen && name === 'PING') socket.write('+PONG\r\n')
  })
  await Promise.all(['consume', 'produce', 'probe'].map((lane) => send(node, lane as Lane, 'PING')))
  const waiting = send(node, 'inspect', 'HANG')
  await sleep(TIMEOUT_MS / 2)
  await send(node, 'consume', 'PING')
  frozen = true
  const frozenMs = performance.now()
  const after = send(node, 'produce', 'PING')
  await Promise.all([waiting, after])
  await eventually(() => expect(node.up).toBe(false))
  expect(performance.now() - frozenMs).toBeLessThan(TIMEOUT_MS * 2)
})

it('a connection that breaks does not take the others with it while the server answers', async () => {
  const node = await server(([name], socket) => {
    if (name === 'PING') socket.write('+PONG\r\n')
    else socket.destroy()
  })
  await send(node, 'consume', 'PING')
  const before = node.generation
  expect(await send(node, 'inspect', 'BREAK')).toMatchObject({
    ok: false,
    fault: {
      kind: 'lost',
      error: { message: expect.stringMatching(/127.0.0.1:\d+ closed .* answered BREAK/) },
    },
  })
  expect(await send(node, 'consume', 'PING')).toMatchObject({ ok: true })
  expect(node.up).toBe(true)
  // It may have been restarted all the same.
  expect(node.generation).toBeGreaterThan(before)
})
