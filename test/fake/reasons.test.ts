import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { NodeLink } from '../../src/cluster/link.js'
import { InvalidOptionError, QueueUnavailableError, TaskQueue } from '../../src/index.js'

async function portOf(server: Server): Promise<number> {
  const open = new Set<Socket>()
  server.on('connection', (socket: Socket) => open.add(socket))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    for (const socket of open) socket.destroy()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

const says = (text: string, hangUp = true) =>
  portOf(
    createServer((socket) => {
      socket.on('error', () => socket.destroy())
      socket.resume()
      if (hangUp) socket.end(text)
      else socket.write(text)
    }),
  )

async function closedPort(): Promise<number> {
  const server = createServer()
  const port = await portOf(server)
  server.close()
  await once(server, 'close')
  return port
}

async function refusal(...nodes: { host: string; port: number }[]): Promise<QueueUnavailableError> {
  const queue = new TaskQueue('q', {
    connection: { mode: 'cluster', nodes, connectTimeoutMs: 400, commandTimeoutMs: 200 },
  })
  const error: unknown = await queue.connect().catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(QueueUnavailableError)
  return error as QueueUnavailableError
}

describe('a queue that reaches nobody says why', () => {
  const CASES: readonly [what: string, node: () => Promise<{ host: string; port: number }>, why: RegExp][] = [
    [
      'a name that is none',
      async () => ({ host: 'nowhere.invalid', port: 7000 }),
      /getaddrinfo (ENOTFOUND|EAI_AGAIN) nowhere\.invalid/,
    ],
    [
      'a port at which nobody listens',
      async () => ({ host: '127.0.0.1', port: await closedPort() }),
      /ECONNREFUSED 127\.0\.0\.1:\d+/,
    ],
    [
      'a server of something else',
      async () => ({
        host: '127.0.0.1',
        port: await portOf(createHttpServer((_, response) => response.end())),
      }),
      /127\.0\.0\.1:\d+ is not a Redis server, it speaks HTTP: it says "HTTP\/1\.1 400 Bad Request"/,
    ],
    [
      'a port that hangs up, as that of the cluster bus',
      async () => ({ host: '127.0.0.1', port: await says('') }),
      /127\.0\.0\.1:\d+ closed the connection before it had said anything.*bus port/,
    ],
    [
      'a server that takes no more clients',
      async () => ({ host: '127.0.0.1', port: await says('-ERR max number of clients reached\r\n') }),
      /refuses one more connection: max number of clients reached.*CONFIG SET maxclients/,
    ],
    [
      'a server that is silent',
      async () => ({ host: '127.0.0.1', port: await says('', false) }),
      /no connection to 127\.0\.0\.1:\d+ within 200 ms/,
    ],
  ]

  it.each(CASES)('%s', async (_, node, why) => {
    const address = await node()
    const error = await refusal(address)
    expect(error.message).toMatch(why)
    expect((error.cause as Error).message).toMatch(why)
    const link = NodeLink.open(address, { timeoutMs: 200 }).then((open) =>
      open.text('INFO').finally(() => open.close()),
    )
    const told = (await link.catch((reason: unknown) => reason)) as Error
    const byTools = why.source.includes('bus')
      ? /closed the/
      : why.source.includes('max number')
        ? /max number of clients reached.*ss -tnp.*CONFIG SET/
        : why
    if (!why.source.includes('within')) expect(told.message).toMatch(byTools)
  })

  it('of each seed by itself', async () => {
    const error = await refusal(
      { host: '127.0.0.1', port: await says('-ERR max number of clients reached\r\n') },
      { host: '127.0.0.1', port: await closedPort() },
    )
    expect(error.message).toMatch(/max number of clients.*; .*ECONNREFUSED/)
    expect((error.cause as AggregateError).errors).toHaveLength(2)
  })
})

describe('a host that is none is refused early', () => {
  const make = (host: string) =>
    new TaskQueue('q', { connection: { mode: 'cluster', nodes: [{ host, port: 7000 }] } })

  it.each([
    ['redis.example:7001', /without the port; write \{ host: 'redis\.example', port: 7001 \}/],
    ['[::1]:7001', /without the port; write \{ host: '::1', port: 7001 \}/],
    ['redis://redis.example:7001', /not a url; write host and port apart/],
    ['rediss://redis.example', /not a url/],
    ['redis.example/0', /expected a host name or address/],
    ['user@redis.example', /expected a host name or address/],
    ['redis example', /expected a host name or address/],
  ])('%s', (host, wayOut) => {
    expect(() => make(host)).toThrow(InvalidOptionError)
    expect(() => make(host)).toThrow(wayOut)
  })

  it.each([
    'redis.example',
    'localhost',
    '127.0.0.1',
    '::1',
    '[::1]',
    '2001:db8::7',
    'fe80::1%eth0',
    'my_host',
  ])('and %s is one', (host) => void make(host))

  it.each(['redis://u:p@ss:w/ord#1@h', 'redis://u:pa/ss@h', 'redis://u:pa#ss@h'])(
    'a url such as %s is told of percent-encoding, and is not repeated',
    (url) => {
      const make = () => new TaskQueue('q', { connection: { mode: 'single', url } })
      expect(make).toThrow(/percent-encoded/)
      expect(make).not.toThrow(/p@ss|pa\/ss|pa#ss/)
    },
  )
})
