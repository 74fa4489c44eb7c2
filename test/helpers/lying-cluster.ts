import { createServer, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'
import type { Address } from '../../src/cluster/index.js'
import { OPERATION_KEY } from '../../src/cluster/own-keys.js'
import { QUEUES_KEY } from '../../src/keys/keys.js'
import { CommandReader, encode, FakeError, OK, type Reply } from '../fake/resp.js'

export interface LyingCluster {
  /** A replica last. */
  readonly nodes: readonly Address[]
  /** Of no cluster, and empty. */
  readonly newcomer: Address
  /** What it was asked: `INFO`, `CONFIG GET`. */
  readonly asked: Set<string>
}

export interface Mood {
  /** Commands to which the text is the error. */
  readonly refuses?: readonly string[]
  /** Somebody of a hostile name is at work on the cluster. */
  readonly held?: boolean
}

/** Of these the second word says what is asked. */
const CONTAINERS = [
  'ACL',
  'CLIENT',
  'CLUSTER',
  'COMMAND',
  'CONFIG',
  'DEBUG',
  'FUNCTION',
  'MEMORY',
  'SCRIPT',
  'XINFO',
]
const SLOTS = ['0-5460', '5461-10922', '10923-16383']
/** Higher than any process has. */
const NO_PID = 4_999_999
const field = (text: string) => text.replaceAll(/[\s\0]/g, '')
const line = (text: string) => text.replaceAll(/[\r\n]/g, '')

const linesOf = (fields: Readonly<Record<string, string | number>>) =>
  Object.entries(fields)
    .map(([name, value]) => `${name}:${value}\r\n`)
    .join('')
/** What the name of a queue may be of all that. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is left out
export const queueNameFrom = (text: string) => text.replaceAll(/[{}\0-\x1f\x7f]/g, '').slice(0, 190)

/** Settings whose values are read as numbers or words, so that commands get further than to refuse them. */
const SETTINGS: Readonly<Record<string, string>> = {
  maxmemory: '0',
  maxclients: '10000',
  'cluster-enabled': 'yes',
  'cluster-node-timeout': '1000',
  'tls-port': '0',
  requirepass: '',
  masterauth: '',
}
/** Others, whose values are any text. */
const TEXT_SETTINGS = [
  ...[
    'dir',
    'appendfilename',
    'appenddirname',
    'dbfilename',
    'logfile',
    'aclfile',
    'bind',
    'unixsocket',
    'save',
    'appendonly',
  ],
  ...[
    'maxmemory-policy',
    'masteruser',
    'proc-title-template',
    'cluster-announce-ip',
    'cluster-announce-hostname',
  ],
  ...['appendfsync', 'timeout', 'protected-mode', 'cluster-require-full-coverage'],
]
const TEXT_FIELDS = [
  ...[
    'os',
    'executable',
    'config_file',
    'maxmemory_policy',
    'master_failover_state',
    'redis_build_id',
    'used_memory_human',
  ],
  ...['db0', 'slave0', 'aof_last_write_status', 'aof_last_bgrewrite_status'],
]

/**
 * Three masters, a replica of the first, and a node beside them: sound, as far as a command looks before it does something. Every text
 * that a server may choose is the one given: of versions, settings, users, libraries, names of clients, of queues and keys, and results
 * of scripts.
 */
export async function lyingCluster(
  text: string,
  { refuses = [], held = false }: Mood = {},
): Promise<LyingCluster> {
  const asked = new Set<string>()
  const servers = await Promise.all([0, 1, 2, 3, 4].map((index) => serve((words) => answer(index, words))))
  const nodes = servers.slice(0, 4)
  const holder = JSON.stringify({
    operation: text,
    host: text,
    pid: NO_PID,
    since: text,
    pids: text,
    stamp: text,
  })
  const idOf = (index: number) => String(index + 1).repeat(40)

  function view(self: number): string {
    const members = self === 4 ? [4] : [0, 1, 2, 3]
    return members
      .map((index) => {
        const { host, port } = servers[index] as Address
        const role = index === 3 ? `slave ${idOf(0)}` : 'master -'
        const slots = SLOTS[index] === undefined ? '' : ` ${SLOTS[index]}`
        const aux = `,,nodename=${field(text)},shard-id=${field(text)}`
        return `${idOf(index)} ${host}:${port}@${port + 1}${aux} ${index === self ? 'myself,' : ''}${role} 0 0 ${index + 1} connected${slots}\n`
      })
      .join('')
  }

  function info(index: number): string {
    const isReplica = index === 3
    const fields: Readonly<Record<string, string | number>> = {
      // Another one on each, so that they differ.
      redis_version: `7.0.15${line(text)}${index}`,
      server_name: line(text),
      redis_mode: 'cluster',
      run_id: `${index}${line(text)}`,
      role: isReplica ? 'slave' : 'master',
      connected_slaves: index === 0 ? 1 : 0,
      ...(isReplica
        ? { master_host: line(text), master_port: servers[0]?.port ?? 0, master_link_status: 'up' }
        : {}),
      master_repl_offset: 1,
      slave_repl_offset: 1,
      loading: 0,
      cluster_enabled: 1,
      process_id: NO_PID,
      uptime_in_seconds: 9,
      rdb_last_bgsave_status: 'err',
      ...Object.fromEntries(TEXT_FIELDS.map((name) => [name, line(text)])),
      [field(text)]: line(text),
    }
    return linesOf(fields)
  }

  function clusterInfo(isAlone: boolean): string {
    const slots = isAlone ? 0 : 16_384
    const fields: Readonly<Record<string, string | number>> = {
      cluster_enabled: 1,
      cluster_state: isAlone ? 'fail' : 'ok',
      cluster_slots_assigned: slots,
      cluster_slots_ok: slots,
      cluster_known_nodes: isAlone ? 1 : 4,
      cluster_size: isAlone ? 0 : 3,
      cluster_current_epoch: 4,
      cluster_my_epoch: 1,
    }
    return linesOf({ ...fields, [field(text)]: line(text) })
  }

  function settings(index: number, wanted: readonly string[]): Reply {
    const all: Readonly<Record<string, string>> = {
      ...SETTINGS,
      ...Object.fromEntries(TEXT_SETTINGS.map((name) => [name, `${index}${text}`])),
      [text]: text,
    }
    const names = wanted.includes('*') ? Object.keys(all) : wanted.filter((name) => all[name] !== undefined)
    return names.flatMap((name) => [name, all[name] ?? ''])
  }

  function answer(index: number, words: readonly string[]): Reply {
    const [command = '', sub = ''] = words.map((word) => word.toUpperCase())
    const name = CONTAINERS.includes(command) ? `${command} ${sub}` : command
    asked.add(name)
    if (refuses.includes(name)) return new FakeError(`ERR ${line(text)}`)
    switch (name) {
      case 'CLUSTER NODES':
        return view(index)
      case 'CLUSTER INFO':
        return clusterInfo(index === 4)
      case 'CLUSTER MYID':
        return idOf(index)
      case 'CLUSTER COUNTKEYSINSLOT':
      case 'DBSIZE':
      case 'EXISTS':
        return 0
      case 'CLUSTER GETKEYSINSLOT':
        return [text]
      case 'INFO':
        return info(index)
      case 'PING':
        return 'PONG'
      case 'WAIT':
        return 1
      case 'TIME':
        return [String(Math.floor(Date.now() / 1000)), '0']
      case 'CONFIG GET':
        return settings(index, words.slice(2))
      case 'ACL WHOAMI':
        return text
      case 'ACL LIST':
        return [
          'user default on nopass ~* &* +@all',
          `user ${field(text)}${index} on nopass ~${field(text)} &* +@${field(text)}`,
        ]
      case 'ACL USERS':
      case 'ACL CAT':
        return [text]
      case 'FUNCTION LIST':
        return [['library_name', `${index}${text}`, 'engine', text, 'functions', [], 'library_code', text]]
      case 'FUNCTION DUMP':
        return text
      case 'CLIENT LIST':
        return `id=1 addr=${field(text)} name=${field(text)} lib-name=${field(text)}\n`
      case 'SMEMBERS':
        return words[1] === QUEUES_KEY ? [text, queueNameFrom(text)] : [text]
      case 'HGET':
        return '1'
      case 'HMGET':
        return words.slice(2).map(() => text)
      case 'HGETALL':
        return [text, text]
      case 'SCAN':
        return ['0', [text]]
      case 'TYPE':
        return text
      case 'GET':
        return held && words[1] === OPERATION_KEY ? holder : null
      case 'EVAL':
        // The lock of operations: nobody has it, or somebody.
        return words[3] !== OPERATION_KEY ? [text, [text]] : held ? holder : null
      case 'EVALSHA':
      case 'FCALL':
        return [text, [text]]
      default:
        return OK
    }
  }
  return { nodes, newcomer: servers[4] as Address, asked }
}

async function serve(answer: (words: readonly string[]) => Reply): Promise<Address> {
  const sockets = new Set<Socket>()
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket))
    const reader = new CommandReader()
    socket.on('data', (chunk) => {
      for (const words of reader.read(chunk)) socket.write(encode(answer(words)))
    })
  })
  const port = await new Promise<number>((resolve) =>
    server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port)),
  )
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { host: '127.0.0.1', port }
}
