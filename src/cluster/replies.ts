import { NodeViewError } from './errors.js'

/** One node as another node sees it: a line of CLUSTER NODES. */
export interface NodeView {
  readonly id: string
  readonly host: string
  readonly port: number
  readonly busPort: number
  readonly role: 'master' | 'replica'
  /** Id of the master that this replica follows; null for a master. */
  readonly masterId: string | null
  /** Owned slots as inclusive ranges, ascending. */
  readonly slots: readonly (readonly [number, number])[]
  /**
   * Slots being moved, as the server writes them (`[93->-id]`, `[77-<-id]`). Of a replica none: in Valkey 8 it repeats what its
   * master has open, and it is closed with it. Where a replica stood still, it may have open what its master has been refused (NOREPLICAS); that is closed
   * with the next change of the slot, and seen when it is promoted.
   */
  readonly openSlots: readonly string[]
  /** Without `master`, `slave` and `myself`; empty for a healthy node. */
  readonly flags: readonly string[]
  /** Whether this is the node that was asked. */
  readonly myself: boolean
  readonly linkState: 'connected' | 'disconnected'
  readonly configEpoch: number
}

/** Parses INFO and CLUSTER INFO: `name:value` lines, comments and blank lines left out. */
export function parseFields(text: string): ReadonlyMap<string, string> {
  const fields = new Map<string, string>()
  for (const line of text.split(/\r?\n/)) {
    const colon = line.indexOf(':')
    if (colon > 0 && !line.startsWith('#')) fields.set(line.slice(0, colon), line.slice(colon + 1))
  }
  return fields
}

/** Of a reply that has names and values in turn: the value of this name. */
export function fieldOf(reply: unknown, name: string): unknown {
  const flat = reply as readonly unknown[]
  return flat[flat.findIndex((field, i) => i % 2 === 0 && String(field) === name) + 1]
}

/** A reply as one text, to compare it with another's; bytes that are no text too. */
export function text(reply: unknown): string {
  if (Buffer.isBuffer(reply)) return reply.toString('hex')
  if (Array.isArray(reply)) return `[${reply.map(text).join()}]`
  return String(reply)
}

/** Keys of all databases, by INFO. */
export const keysIn = (info: ReadonlyMap<string, string>) =>
  [...info]
    .filter(([field]) => /^db\d+$/.test(field))
    .reduce((sum, [, text]) => sum + Number(/keys=(\d+)/.exec(text)?.[1] ?? 0), 0)

/** Forty hexadecimal digits, as servers make them; at least nothing but letters and digits. */
const ID = /^[0-9A-Za-z]{1,64}$/
/** A name, or an address of numbers; nothing that a shell, a terminal or `ssh` would take for something else. */
const HOST = /^(?!-)[A-Za-z0-9._:%-]*$/
const FLAG = /^[a-z?-]*$/
const SLOTS = /^\d{1,5}(?:-\d{1,5})?$/
const OPEN_SLOT = /^\[\d{1,5}-[<>]-[0-9A-Za-z]{1,64}\]$/

/**
 * Parses CLUSTER NODES. What it tells of other nodes has come over the cluster bus, whose password is none: it goes into commands to be
 * typed, and into those of `--restart-command`.
 * @param askedHost fills in the host of a node that does not yet know its own (it writes `:7000`).
 * @throws NodeViewError when an id, a host, a port, a flag or a slot is not what a server could have
 */
export function parseClusterNodes(text: string, askedHost: string): NodeView[] {
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => parseNodeLine(line.trim(), askedHost))
}

function parseNodeLine(line: string, askedHost: string): NodeView {
  const [id = '', address = '', flagText = '', master = '-', , , epoch = '0', link = '', ...slotTexts] =
    line.split(' ')
  // host:port@busPort[,hostname[,aux=value...]]; an IPv6 host has colons of its own.
  const [hostPort = '', busText = ''] = (address.split(',')[0] ?? '').split('@')
  const colon = hostPort.lastIndexOf(':')
  const port = Number(hostPort.slice(colon + 1))
  const host = hostPort.slice(0, colon)
  const ids = master === '-' ? [id] : [id, master]
  const wrong = ids.find((each) => !ID.test(each)) ?? (HOST.test(host) ? undefined : host)
  if (wrong !== undefined) throw new NodeViewError(askedHost, wrong)
  if (!(port >= 0 && port <= 65_535)) throw new NodeViewError(askedHost, hostPort)
  const flags = flagText.split(',')
  const odd =
    flags.find((flag) => !FLAG.test(flag)) ??
    slotTexts.find((text) => !SLOTS.test(text) && !OPEN_SLOT.test(text))
  if (odd !== undefined) throw new NodeViewError(askedHost, odd)
  const role = flags.includes('slave') ? 'replica' : 'master'
  return {
    id,
    host: host || askedHost,
    port,
    busPort: busText === '' ? port + 10_000 : Number(busText),
    role,
    masterId: master === '-' ? null : master,
    slots: slotTexts.filter((text) => !text.startsWith('[')).map(parseRange),
    openSlots: role === 'replica' ? [] : slotTexts.filter((text) => text.startsWith('[')),
    flags: flags.filter((flag) => !['master', 'slave', 'myself', 'noflags', ''].includes(flag)),
    myself: flags.includes('myself'),
    linkState: link === 'connected' ? 'connected' : 'disconnected',
    configEpoch: Number(epoch),
  }
}

function parseRange(text: string): readonly [number, number] {
  const [first, last] = text.split('-')
  return [Number(first), Number(last ?? first)]
}

/** Whether a command was refused to this user, or has been taken out of the server. */
export const isForbidden = (error: Error) =>
  /NOPERM|unknown (sub)?command/i.test(`${error.message} ${error.cause}`)
