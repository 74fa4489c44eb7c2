import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { loadScript } from '../../src/scripts/script.js'
import { Bytes, CommandReader, encode, FakeError, OK, type Reply } from './resp.js'

/** One command as it arrived. */
export interface Received {
  readonly words: readonly string[]
  /** Name of the script that it calls, if it calls one. */
  readonly script: string | undefined
  readonly keys: readonly string[]
  /** The script's ARGV. */
  readonly args: readonly string[]
  /** The word before it on the same connection was ASKING. */
  readonly asking: boolean
  /** performance.now() */
  readonly atMs: number
}

/** `silence`: no reply, ever. `hang up`: the connection ends in place of a reply. */
export type Answer = Reply | 'silence' | 'hang up' | Promise<Reply>

const scriptFolder = new URL('../../src/scripts/', import.meta.url)
const scripts = readdirSync(scriptFolder)
  .filter((name) => name.endsWith('.lua'))
  .map((name) => loadScript(name.slice(0, -4)))
const bySha = new Map(scripts.map((script) => [script.sha, script.name]))
const bySource = new Map(scripts.map((script) => [script.source, script.name]))

export interface Claim {
  readonly from: number
  readonly to: number
  readonly epoch: number
}

/**
 * A server that answers as it is told, and remembers what it was asked: for what no real server can be made to do on
 * demand. What a test does not script is answered as by a cluster that is well and a queue that is empty.
 */
export class FakeNode {
  readonly received: Received[] = []
  /** Slots that this node says it serves; undefined for a replica. */
  claim: Claim | undefined
  /** The master that this node says it follows. */
  follows: FakeNode | undefined
  /** What a test wants answered; undefined leaves it to the default. */
  script: (received: Received) => Answer | undefined = () => undefined
  /** Nothing is answered at all, whatever comes. */
  frozen = false
  readonly #sockets = new Set<Socket>()
  /** The last batch of each producer, as enqueue.lua remembers it. */
  readonly #last = new Map<string, { readonly number: number; readonly stamp: string }>()

  private constructor(
    readonly id: string,
    readonly port: number,
    private readonly server: Server,
    private readonly cluster: FakeCluster,
  ) {
    server.on('connection', (socket) => this.#serve(socket))
  }

  static async start(id: string, cluster: FakeCluster): Promise<FakeNode> {
    // As Redis does. Else two replies in a row take 40 ms, and a client that resends without a pause looks patient.
    const server = createServer({ noDelay: true })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new FakeNode(id, (server.address() as AddressInfo).port, server, cluster)
  }

  /** Calls of a script, oldest first. */
  calls(script: string): Received[] {
    return this.received.filter((each) => each.script === script)
  }

  /** Connections that are open at the moment. */
  get connections(): number {
    return this.#sockets.size
  }

  hangUp(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  async stop(): Promise<void> {
    this.hangUp()
    if (!this.server.listening) return
    this.server.close()
    await once(this.server, 'close')
  }

  /** Takes connections again after `stop`. */
  async restart(): Promise<void> {
    this.server.listen(this.port, '127.0.0.1')
    await once(this.server, 'listening')
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.on('close', () => this.#sockets.delete(socket))
    const reader = new CommandReader()
    let asking = false
    let before: Promise<unknown> = Promise.resolve()
    socket.on('data', (chunk: Buffer) => {
      for (const words of reader.read(chunk)) {
        const received = describe(words, asking)
        asking = received.words[0] === 'ASKING'
        this.received.push(received)
        if (this.frozen) continue
        const answer = this.script(received) ?? this.#default(received)
        if (answer === 'hang up') {
          socket.destroy()
          return
        }
        // Replies go out in the order of the commands, however late one of them is; after a silence, none does.
        if (answer === 'silence') before = new Promise(() => {})
        else before = before.then(() => answer).then((reply) => write(socket, reply))
      }
    })
  }

  /** What a script answers that is carried out; for a test that loses the reply. */
  carryOut({ script, keys, args }: Received): Reply {
    if (script !== 'enqueue' && script !== 'void') return defaultOf(script, args)
    const producer = keys[script === 'enqueue' ? 5 : 11] ?? ''
    const number = Number(args[script === 'enqueue' ? 1 : 0])
    const last = this.#last.get(producer) ?? { number: 0, stamp: '' }
    const stamp = script === 'enqueue' ? (args[14] ?? '') : ''
    const known = last.number >= number
    if (!known) this.#last.set(producer, { number, stamp })
    if (script === 'void') return [last.number, ...args.slice(3)]
    const repeat = number === 0 || (last.number === number && last.stamp === stamp)
    return [repeat ? 'repeat' : known ? 'clash' : 'stored', last.number, last.stamp]
  }

  #default(received: Received): Reply {
    const { words } = received
    switch (words[0]) {
      case 'INFO':
        return words[1] === 'replication'
          ? this.cluster.replicationOf(this)
          : 'redis_version:7.0.15\r\nredis_mode:cluster\r\nrole:master\r\n'
      case 'CLUSTER':
        return this.cluster.nodesAsSeenBy(this)
      case 'WAIT':
        // As many as are asked for have confirmed.
        return Math.max(1, Number(words[1]))
      case 'SSUBSCRIBE':
        return ['ssubscribe', words[1] ?? '', 1]
      case 'HGET':
        // A queue that is there (harness.ts): opening it writes nothing.
        return this.cluster.partitions === undefined ? null : String(this.cluster.partitions)
      case 'HMGET':
        return words.slice(2).map(() => null)
      case 'EVALSHA':
      case 'EVAL':
        return this.carryOut(received)
      default:
        return OK
    }
  }
}

function write(socket: Socket, reply: Reply): void {
  socket.write(encode(reply))
  if (reply instanceof Bytes) socket.end()
}

function describe(words: readonly string[], asking: boolean): Received {
  const [name, what = ''] = words
  const known = name === 'EVALSHA' ? bySha.get(what) : name === 'EVAL' ? bySource.get(what) : undefined
  const keyCount = known === undefined ? 0 : Number(words[2])
  return {
    words,
    script: known,
    keys: words.slice(3, 3 + keyCount),
    args: words.slice(3 + keyCount),
    asking,
    atMs: performance.now(),
  }
}

const EMPTY = ['', 0, -1, -1] as const

function defaultOf(script: string | undefined, args: readonly string[]): Reply {
  switch (script) {
    case 'open':
      return Number(args[0])
    case 'exchange':
      return ['', [], [], [], EMPTY]
    case 'tend':
      return [EMPTY, [], 0, Date.now()]
    case 'admit':
      return [0, 'a1']
    case 'reassert':
      return args
        .slice(2 + 2 * Number(args[1]))
        .filter((_, i) => i % 4 === 0)
        .map(() => 1)
    case 'renew':
      return args.slice(1).map(() => 1)
    case 'release':
      return args.slice(2).map(() => 1)
    case 'fail':
    case 'extend':
      return 'done'
    case 'checkpoint':
      return ['saved']
    case 'touch':
      return null
    default:
      return new FakeError(`ERR the fake server knows no answer to ${script ?? 'this'}`)
  }
}

/** Two masters, each with half of the slots and a replica. */
export class FakeCluster {
  readonly nodes: FakeNode[] = []
  /** What a node says of the others, where a test wants it to be wrong. */
  readonly views = new Map<FakeNode, string>()
  /** Of every queue; undefined: there is none yet. */
  partitions: number | undefined = 2

  static async start(): Promise<FakeCluster> {
    const cluster = new FakeCluster()
    for (const id of ['a', 'b', 'c', 'd']) cluster.nodes.push(await FakeNode.start(id.repeat(40), cluster))
    const [a, b, replicaOfA, replicaOfB] = cluster.nodes
    if (!a || !b || !replicaOfA || !replicaOfB) throw new Error('unreachable')
    a.claim = { from: 0, to: 8_191, epoch: 1 }
    b.claim = { from: 8_192, to: 16_383, epoch: 2 }
    replicaOfA.follows = a
    replicaOfB.follows = b
    return cluster
  }

  get a(): FakeNode {
    return this.nodes[0] as FakeNode
  }

  get b(): FakeNode {
    return this.nodes[1] as FakeNode
  }

  get seeds(): { host: string; port: number }[] {
    return [this.a, this.b].map(({ port }) => ({ host: '127.0.0.1', port }))
  }

  /** CLUSTER NODES. */
  nodesAsSeenBy(node: FakeNode): string {
    return this.views.get(node) ?? this.nodes.map((each) => lineOf(each, each === node)).join('')
  }

  /** INFO replication: those that follow a node are online, and have all that it has written. */
  replicationOf(node: FakeNode): string {
    const replicas = this.nodes.filter(({ follows }) => follows === node)
    const lines = replicas.map((each, i) => replicaLine(each, 'online', MASTER_OFFSET, i))
    return ['role:master', ...lines, `master_repl_offset:${MASTER_OFFSET}`, ''].join('\r\n')
  }

  async addNode(): Promise<FakeNode> {
    const node = await FakeNode.start('efgh'.charAt(this.nodes.length - 4).repeat(40), this)
    this.nodes.push(node)
    return node
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()))
  }
}

/** How far every master says it has come. */
export const MASTER_OFFSET = 9

/** One replica in INFO replication. */
export function replicaLine({ port }: { port: number }, state: string, offset: number, i = 0): string {
  return `slave${i}:ip=127.0.0.1,port=${port},state=${state},offset=${offset},lag=0`
}

export function lineOf(node: FakeNode, myself: boolean, claim: Claim | undefined = node.claim): string {
  const role = node.follows ? 'slave' : 'master'
  const flags = myself ? `myself,${role}` : role
  const slots = claim ? ` ${claim.from}-${claim.to}` : ''
  const address = `127.0.0.1:${node.port}@${node.port + 10_000}`
  return `${node.id} ${address} ${flags} ${node.follows?.id ?? '-'} 0 0 ${claim?.epoch ?? 0} connected${slots}\n`
}
