import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { PortInUseError } from '../../../src/cluster/errors.js'
import { checkPortNumbers, checkPortsFree, freePorts } from '../../../src/cluster/ports.js'
import { InvalidOptionError } from '../../../src/errors.js'

async function occupy(port: number, host: string): Promise<void> {
  const server = createServer().listen(port, host)
  await once(server, 'listening')
  onTestFinished(() => void server.close())
}

test.each([[0], [55_536], [7000.5], [-1]])('port %d is refused before anything starts', (port) => {
  expect(() => checkPortNumbers([port], 'basePort')).toThrow(InvalidOptionError)
})

test('ports that collide with each other or with a bus port are refused', () => {
  expect(() => checkPortNumbers([7000, 7000], 'ports')).toThrow('7000 would be needed twice')
  expect(() => checkPortNumbers([7000, 17_000], 'ports')).toThrow('17000 would be needed twice')
})

test.each(['127.0.0.1', '0.0.0.0'])('a port taken on %s is named, data port and bus port', async (host) => {
  const [port = 0, other = 0] = await freePorts(2)
  await occupy(port, host)
  await occupy(other + 10_000, host)
  await expect(checkPortsFree([port], { bus: true })).rejects.toMatchObject({ port, use: 'data' })
  const bus = checkPortsFree([other], { bus: true })
  await expect(bus).rejects.toThrow(PortInUseError)
  await expect(bus).rejects.toThrow(`port ${other + 10_000} (cluster bus of node ${other}) is in use`)
})

test('a port that a connection has at its own end is told apart from one that is listened on', async () => {
  const [other = 0] = await freePorts(1)
  await occupy(other, '127.0.0.1')
  const socket = connect({ port: other, host: '127.0.0.1' })
  onTestFinished(() => void socket.destroy())
  await once(socket, 'connect')
  const port = socket.localPort ?? 0
  await expect(checkPortsFree([port], { bus: false })).rejects.toThrow(
    `port ${port} is in use by a connection of some program to port ${other}`,
  )
  await expect(checkPortsFree([other], { bus: false })).rejects.toThrow(`port ${other} is in use; nothing`)
})

test('freePorts hands out each port once, with its bus port free and below the ephemeral range', async () => {
  const ports = [...(await freePorts(20)), ...(await freePorts(20))]
  expect(new Set(ports).size).toBe(40)
  expect(Math.max(...ports) + 10_000).toBeLessThan(32_768)
  await checkPortsFree(ports, { bus: true })
})
