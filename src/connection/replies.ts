import { isRefusal, isRefusalInScript } from '../rights/refusal.js'
import type { NodeAddress } from './options.js'

/**
 * What can go wrong with a command that was to be sent to a node. Error texts are read here, at the edge, and
 * nowhere else (redis/src/cluster.c, server.c and script_lua.c for the words).
 */
export type Fault =
  /** Never sent: no socket, or the node counts as dead. */
  | { readonly kind: 'unreachable'; readonly error: Error }
  /** Sent, and the socket broke before the reply: done or not done. */
  | { readonly kind: 'lost'; readonly error: Error }
  /** Sent, and no reply in time: done, not done, or done later. */
  | { readonly kind: 'timeout'; readonly error: Error }
  /** The slot lives elsewhere, for good (`moved`) or for this one command (`ask`). `host` '': where it was asked. */
  | { readonly kind: 'moved' | 'ask'; readonly address: NodeAddress | undefined; readonly error: Error }
  /** A state that passes: keys being moved, no majority, a replica, starting up, a link down, busy. */
  | {
      readonly kind: 'tryagain' | 'clusterdown' | 'readonly' | 'loading' | 'masterdown' | 'busy'
      readonly error: Error
    }
  /** The node will not write: memory full, too few replicas, or disk trouble. */
  | { readonly kind: 'oom' | 'noreplicas' | 'misconf'; readonly error: Error }
  /** The script is not in the node's cache. */
  | { readonly kind: 'noscript'; readonly error: Error }
  /** Credentials or rights. */
  | { readonly kind: 'denied'; readonly error: Error }
  /** Any other error reply. */
  | { readonly kind: 'rejected'; readonly error: Error }

const KIND_BY_WORD = new Map<string, Exclude<Fault['kind'], 'moved' | 'ask'>>([
  ['TRYAGAIN', 'tryagain'],
  ['CLUSTERDOWN', 'clusterdown'],
  ['READONLY', 'readonly'],
  ['LOADING', 'loading'],
  ['MASTERDOWN', 'masterdown'],
  ['BUSY', 'busy'],
  ['OOM', 'oom'],
  ['NOREPLICAS', 'noreplicas'],
  ['MISCONF', 'misconf'],
  ['NOSCRIPT', 'noscript'],
])

/** Reads an error reply. */
export function faultOfReply(error: Error): Fault {
  const [word, , target] = error.message.split(' ')
  if (word === 'MOVED' || word === 'ASK') {
    return { kind: word === 'MOVED' ? 'moved' : 'ask', address: parseEndpoint(target), error }
  }
  if (isRefusal(error)) return { kind: 'denied', error }
  // A command that fails inside a script reaches us with the script's name around it, the word still first.
  const kind = KIND_BY_WORD.get(word ?? '')
  return { kind: kind ?? 'rejected', error }
}

/** As `parseAddress`; a host that the server does not tell (`:7000`, `?:7000`) is the one that was asked. */
function parseEndpoint(text: string | undefined): NodeAddress | undefined {
  const port = Number(/^\??:(\d+)$/.exec(text ?? '')?.[1])
  return port > 0 ? { host: '', port } : parseAddress(text)
}

/** `host:port`; a host may itself have colons (IPv6), and may be missing (`MOVED 1 :7000`). */
export function parseAddress(text: string | undefined): NodeAddress | undefined {
  const colon = text?.lastIndexOf(':') ?? -1
  if (text === undefined || colon <= 0) return undefined
  const port = Number(text.slice(colon + 1))
  return Number.isInteger(port) && port > 0 ? { host: text.slice(0, colon), port } : undefined
}

/**
 * Whether the command was certainly not carried out, so that it may be sent anywhere else at once. A script that ends in
 * an error that nobody knows, or for lack of a right, may have done a part of its work.
 */
export function isCertain(fault: Fault): boolean {
  if (fault.kind === 'denied') return !isRefusalInScript(fault.error)
  return fault.kind !== 'lost' && fault.kind !== 'timeout' && fault.kind !== 'rejected'
}

/** Whether the node refuses writes of everybody for the moment, and not only this call. */
export function refusesAll({ kind }: Fault): boolean {
  switch (kind) {
    case 'tryagain':
    case 'clusterdown':
    case 'readonly':
    case 'loading':
    case 'masterdown':
    case 'busy':
    case 'noreplicas':
    case 'misconf':
      return true
    default:
      return false
  }
}

/** Whether a look at the topology may help. */
export function concernsTopology(fault: Fault): boolean {
  switch (fault.kind) {
    case 'unreachable':
    case 'lost':
    case 'timeout':
    case 'moved':
    case 'ask':
    case 'clusterdown':
    case 'readonly':
    case 'loading':
    case 'masterdown':
      return true
    case 'tryagain':
    case 'busy':
    case 'oom':
    case 'noreplicas':
    case 'misconf':
    case 'noscript':
    case 'denied':
    case 'rejected':
      return false
  }
}

/** ioredis hangs on its errors the command that failed, and who logs that of AUTH logs the password. */
export function withoutCommand(error: Error & { command?: unknown }): Error {
  delete error.command
  return error
}
