import { createServer, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'
import type { Address } from '../../src/cluster/index.js'
import { CommandReader, encode, FakeError, OK, type Reply } from '../fake/resp.js'

export interface Hostile {
  /** The id of the one node that it tells of. */
  readonly id?: string
  readonly host?: string
  /** What it answers to whatever it does not know. */
  readonly error?: string
}

const INFO =
  'redis_version:7.0.15\r\nredis_mode:cluster\r\nrun_id:x\r\nrole:master\r\nconnected_slaves:0\r\nmaster_repl_offset:1\r\n' +
  'loading:0\r\ncluster_enabled:1\r\nos:Linux\r\nprocess_id:1\r\nuptime_in_seconds:9\r\n'
const CLUSTER_INFO =
  'cluster_enabled:1\r\ncluster_state:ok\r\ncluster_slots_assigned:16384\r\ncluster_known_nodes:1\r\ncluster_size:1\r\n' +
  'cluster_current_epoch:1\r\ncluster_my_epoch:1\r\n'

/** Answers like a master with all slots, under a name that is meant for the terminal or the shell of who asks. */
export async function hostileNode({
  id = 'a'.repeat(40),
  host = '127.0.0.1',
  error,
}: Hostile): Promise<Address> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket))
    const reader = new CommandReader()
    socket.on('data', (chunk) => {
      for (const words of reader.read(chunk))
        socket.write(encode(answer(words.map((word) => word.toUpperCase()))))
    })
  })
  const port = await new Promise<number>((resolve) =>
    server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port)),
  )
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const view = `${id} ${host}:${port}@${port + 1} myself,master - 0 0 1 connected 0-16383\n`
  function answer([command = '', word = '']: string[]): Reply {
    if (command === 'CLUSTER' && word === 'NODES') return view
    if (command === 'CLUSTER' && word === 'INFO') return CLUSTER_INFO
    if (command === 'CLUSTER' && word === 'MYID') return id
    if (command === 'INFO') return INFO
    if (command === 'PING') return 'PONG'
    if (error !== undefined) return new FakeError(error)
    if (command === 'CONFIG') return []
    if (command === 'DBSIZE' || command === 'EXISTS') return 0
    return command === 'GET' || command.startsWith('EVAL') ? null : OK
  }
  return { host: '127.0.0.1', port }
}
