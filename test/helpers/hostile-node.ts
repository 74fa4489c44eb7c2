import { createServer, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'
import type { Address } from '../../src/cluster/index.js'
import { CommandReader, encode, FakeError, OK, type Reply, Simple } from '../fake/resp.js'

export interface Hostile {
  /** The id of the one node that it tells of. */
  readonly id?: string
  readonly host?: string
  /** Stands behind its address, where a host name and a name for people are. */
  readonly aux?: string
  readonly flags?: string
  readonly linkState?: string
  /** Behind its slots: others, or such as are being moved. */
  readonly slots?: string
  /** What it answers to whatever it does not know, as an error. */
  readonly error?: string
  /** The same as a text, of one line or of several, and in lists. */
  readonly reply?: string
  /** The same as the status that a command ends with. */
  readonly status?: string
  /** What every setting and every field of INFO says that is no number. */
  readonly value?: string
}

const INFO =
  'redis_version:7.0.15\r\nredis_mode:cluster\r\nrun_id:x\r\nrole:master\r\nconnected_slaves:0\r\nmaster_repl_offset:1\r\n' +
  'loading:0\r\ncluster_enabled:1\r\nos:Linux\r\nprocess_id:1\r\nuptime_in_seconds:9\r\n'
const CLUSTER_INFO =
  'cluster_enabled:1\r\ncluster_state:ok\r\ncluster_slots_assigned:16384\r\ncluster_known_nodes:1\r\ncluster_size:1\r\n' +
  'cluster_current_epoch:1\r\ncluster_my_epoch:1\r\n'

const TEXT_FIELDS = [
  'redis_version',
  'valkey_version',
  'server_name',
  'os',
  'run_id',
  'executable',
  'config_file',
  'maxmemory_policy',
  'master_host',
  'master_link_status',
  'rdb_last_bgsave_status',
  'aof_last_write_status',
  'slave0',
  'db0',
  'master_failover_state',
]

/** Answers like a master with all slots, under a name that is meant for the terminal or the shell of who asks. */
export async function hostileNode(lies: Hostile): Promise<Address> {
  const { id = 'a'.repeat(40), host = '127.0.0.1' } = lies
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
  const { aux = '', flags = '', linkState = 'connected', slots = '', error, reply, status, value } = lies
  const view =
    `${id} ${host}:${port}@${port + 1}${aux === '' ? '' : `,${aux}`} myself,master${flags === '' ? '' : `,${flags}`} ` +
    `- 0 0 1 ${linkState} 0-16383${slots === '' ? '' : ` ${slots}`}\n`
  const info = value === undefined ? INFO : INFO + TEXT_FIELDS.map((name) => `${name}:${value}\r\n`).join('')
  function answer([command = '', word = '', ...rest]: string[]): Reply {
    if (command === 'CLUSTER' && word === 'NODES') return view
    if (command === 'CLUSTER' && word === 'INFO') return CLUSTER_INFO
    if (command === 'CLUSTER' && word === 'MYID') return id
    if (command === 'INFO') return info
    if (command === 'PING') return 'PONG'
    if (error !== undefined) return new FakeError(error)
    if (status !== undefined) return new Simple(status)
    if (reply !== undefined) return command.startsWith('EVAL') || word === 'LIST' ? [reply, [reply]] : reply
    if (command === 'CONFIG')
      return value === undefined ? [] : rest.flatMap((name) => [name.toLowerCase(), value])
    if (command === 'ACL' && word === 'LIST' && value !== undefined)
      return [`user ${value} on nopass ~* +@all`]
    if (command === 'DBSIZE' || command === 'EXISTS') return 0
    return command === 'GET' || command.startsWith('EVAL') ? null : OK
  }
  return { host: '127.0.0.1', port }
}
