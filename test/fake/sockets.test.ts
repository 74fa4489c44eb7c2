import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { expect, it, onTestFinished } from 'vitest'
import { NodeSocket } from '../../src/connection/socket.js'
import { CommandReader } from './resp.js'

/** A server that answers OK, `slowMs` after AUTH, and writes down what it was sent and answered. */
async function serverAndSocket(slowMs: number) {
  const log: string[] = []
  const open = new Set<Socket>()
  const listener = createServer({ noDelay: true }, (socket) => {
    open.add(socket)
    socket.on('error', () => socket.destroy())
    const reader = new CommandReader()
    let before: Promise<unknown> = Promise.resolve()
    socket.on('data', (chunk: Buffer) => {
      for (const words of reader.read(chunk)) {
        log.push(words.join(' '))
        if (words[0] === 'AUTH') before = before.then(() => sleep(slowMs)).then(() => log.push('answered'))
        before = before.then(() => socket.write('+OK\r\n'))
      }
    })
  })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const { port } = listener.address() as AddressInfo
  let redis: Redis | undefined
  const socket = new NodeSocket(
    {
      address: { host: '127.0.0.1', port },
      username: 'm',
      password: 'secret',
      tls: undefined,
      connectTimeoutMs: 2_000,
    },
    (opened) => {
      redis = opened
    },
  )
  onTestFinished(() => {
    socket.close()
    for (const each of open) each.destroy()
    listener.close()
  })
  return { log, socket, stream: () => redis?.stream }
}

it('AUTH comes before anything else, and nothing of the caller’s is sent before it is answered', async () => {
  const { log, socket } = await serverAndSocket(50)
  expect(await socket.send([['GET', 'secret']], 1_000)).toMatchObject({ ok: true })
  expect(log[0]).toBe('AUTH m secret')
  expect(log.indexOf('answered')).toBeGreaterThan(0)
  expect(log.indexOf('GET secret')).toBeGreaterThan(log.indexOf('answered'))
})

it('a second error of a socket, and a third, end no process', async () => {
  const { socket, stream } = await serverAndSocket(0)
  await socket.open()
  const open = stream()
  // As a TLS socket may have: an expired certificate, then the server's alert.
  for (const text of ['first', 'second', 'third']) open?.emit('error', new Error(text))
  expect(open?.listenerCount('error')).toBeGreaterThan(0)
})
