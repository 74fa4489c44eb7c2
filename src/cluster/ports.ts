import { readFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { InvalidOptionError } from '../errors.js'
import { PortInUseError } from './errors.js'
import { withLink } from './link.js'
import { parseFields } from './replies.js'

export const HOST = '127.0.0.1'
/** Redis fixes the distance between a node's port and its cluster bus port. */
export const BUS_OFFSET = 10_000

/** @throws InvalidOptionError for a port that is out of range itself or whose bus port is */
export function checkPortNumbers(ports: readonly number[], option: string): void {
  for (const port of ports) {
    if (!Number.isInteger(port) || port < 1 || port + BUS_OFFSET > 65_535) {
      throw new InvalidOptionError(
        option,
        `port ${port} cannot be used: a node needs ports 1 to 55535, because its cluster bus takes port + 10000`,
      )
    }
  }
  const taken = new Set<number>()
  for (const port of ports.flatMap((each) => [each, each + BUS_OFFSET])) {
    if (taken.has(port)) throw new InvalidOptionError(option, `port ${port} would be needed twice`)
    taken.add(port)
  }
}

/**
 * Checks every data port, and with `bus` every bus port, before anything is started.
 * @throws PortInUseError for the first one that is taken, naming the holder when it is a Redis that says so
 */
export async function checkPortsFree(ports: readonly number[], { bus }: { bus: boolean }): Promise<void> {
  const wanted = ports.flatMap((port) => [
    { port, use: 'data' as const },
    ...(bus ? [{ port: port + BUS_OFFSET, use: 'bus' as const }] : []),
  ])
  const free = await Promise.all(wanted.map(({ port }) => isPortFree(port)))
  const taken = wanted.find((_, index) => free[index] === false)
  if (taken === undefined) return
  const nodePort = taken.use === 'bus' ? taken.port - BUS_OFFSET : taken.port
  const holder = (taken.use === 'data' ? await nameHolder(nodePort) : null) ?? (await socketOn(taken.port))
  throw new PortInUseError(
    taken.port,
    taken.use,
    holder,
    `stop what holds it (see it with: ss -anp 'sport = :${taken.port}'), or choose other ports with --base-port`,
  )
}

/**
 * Whether a server could listen on the port of the loopback address. Connecting as well as binding, because
 * some systems let us bind 127.0.0.1 beside somebody else's 0.0.0.0.
 */
export async function isPortFree(port: number): Promise<boolean> {
  const bound = await new Promise<boolean>((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ port, host: HOST, exclusive: true }, () => server.close(() => resolve(true)))
  })
  return bound && !(await isListening(port))
}

/** Whether something accepts connections on the port, of the loopback address unless another one is named. */
export function isListening(port: number, host: string = HOST, timeoutMs = 1000): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host, timeout: timeoutMs })
    const answer = (listening: boolean) => {
      socket.destroy()
      resolve(listening)
    }
    socket.once('connect', () => answer(true))
    socket.once('error', () => answer(false))
    socket.once('timeout', () => answer(false))
  })
}

async function nameHolder(port: number): Promise<string | null> {
  try {
    return await withLink({ host: HOST, port }, {}, async (link) => {
      const fields = parseFields(await link.text('INFO', 'server'))
      const config = fields.get('config_file')
      return `a Redis server, pid ${fields.get('process_id') ?? '?'}${config ? `, ${config}` : ''}`
    })
  } catch {
    return null
  }
}

/** States of a socket by their number in /proc/net/tcp. */
const [LISTENING, TIME_WAIT] = ['0A', '06']

/** A connection that has the port at its own end: systems draw such ports at random, and it goes with the connection. */
async function socketOn(port: number): Promise<string | null> {
  const tables = await Promise.all(
    ['/proc/net/tcp', '/proc/net/tcp6'].map((path) => readFile(path, 'utf8').catch(() => '')),
  )
  const portOf = (address = '') => Number.parseInt(address.split(':')[1] ?? '', 16)
  const sockets = tables
    .flatMap((table) => table.split('\n').map((line) => line.trim().split(/\s+/)))
    .filter(([, local, , state]) => portOf(local) === port && state !== TIME_WAIT)
  const [first] = sockets
  if (!first || sockets.some(([, , , state]) => state === LISTENING)) return null
  return `a connection of some program to port ${portOf(first[2])}, which has it for as long as it lasts`
}

const handedOut = new Set<number>()

/**
 * Picks `count` random ports whose bus ports are free too, each handed out once per process. They lie in
 * 11000-19999 (bus 21000-29999), below the range from which systems draw the ports of outgoing connections,
 * so that nothing takes one between this call and the start of the server.
 */
export async function freePorts(count: number): Promise<number[]> {
  const found: number[] = []
  for (let tries = 0; found.length < count; tries++) {
    if (tries > 10_000) throw new Error(`could not find ${count} free ports in 11000-19999`)
    const port = 11_000 + Math.floor(Math.random() * 9_000)
    if (handedOut.has(port)) continue
    if ((await isPortFree(port)) && (await isPortFree(port + BUS_OFFSET))) {
      handedOut.add(port)
      found.push(port)
    }
  }
  return found
}
