import { isIPv6 } from 'node:net'
import type { NodeAddress } from './options.js'

/** A port may stand for itself in what is to be typed: `PORT`. */
export interface Written {
  readonly host: string
  readonly port: number | string
}

/** `host:port`, by which a node is called. An IPv6 address stands in brackets, so that what is printed can be typed. */
export const addressText = ({ host, port }: Written) =>
  host.includes(':') ? `[${host}]:${port}` : serverText({ host, port })

/** As servers write it, and redis-cli wants it: `::1:7000`. */
export const serverText = ({ host, port }: Written) => `${host}:${port}`

/** Reads either of them back; undefined: it is none. */
export function addressFrom(text: string): NodeAddress | undefined {
  const [, bracketed, plain = '', port] = /^(?:\[([^\]]+)\]|(.+)):(\d+)$/.exec(text) ?? []
  if (port === undefined || (bracketed === undefined && plain.includes(':') && !isIPv6(plain)))
    return undefined
  return { host: bracketed ?? plain, port: Number(port) }
}

/** What a natMap has for an address; its keys may be either of them. */
export const mappedIn = (natMap: Readonly<Record<string, NodeAddress>>, address: NodeAddress) =>
  natMap[addressText(address)] ?? natMap[serverText(address)]

/**
 * What is wrong with a host that somebody has written; undefined: nothing. An IPv6 address may stand in brackets.
 * @returns `expected ...`, with the way out
 */
export function hostProblem(host: string): string | undefined {
  if (/^\[[0-9a-fA-F:.]+\]$/.test(host) || /^[0-9a-fA-F]*:[0-9a-fA-F:.]*:[0-9a-fA-F:.]*(%\w+)?$/.test(host))
    return undefined
  if (host.includes('://'))
    return "expected a host name or address, not a url; write host and port apart: { host: 'redis.example', port: 6379 }"
  const [, name, port] = /^(?:\[?([^\s/@]+?)\]?):(\d+)$/.exec(host) ?? []
  if (name !== undefined)
    return `expected a host name or address without the port; write { host: '${name}', port: ${port} }`
  if (/[\s/@:[\]]/.test(host)) return 'expected a host name or address, without a port and without spaces'
  return NAME.test(host) ? undefined : 'expected a host name or address: letters, digits, dots and hyphens'
}

/** Letters of any language, since names are looked up in ASCII; nothing that a shell or ssh would take for something else. */
const NAME = /^(?!-)[\p{L}\p{M}\p{N}._%-]*$/u

/** As Node wants it: an IPv6 address without the brackets that it has in urls. */
export function plainHost(host: string): string {
  return host.replace(/^\[(.*)\]$/, '$1')
}

/** How a password with special characters is written in a url. Behind a fault of a url that may hold one. */
export const IN_URLS =
  'in a url, characters such as @ : / # ? % of a user or password have to be percent-encoded (encodeURIComponent); or give them ' +
  'apart, as username and password'
