import { isIP } from 'node:net'
import { checkServerIdentity, type PeerCertificate, type ConnectionOptions as TlsOptions } from 'node:tls'
import { mappedIn } from './host.js'
import type { NodeAddress } from './options.js'

/** A node as its cluster announces it: by address and, where one is set, by host name (`cluster-announce-hostname`). */
export interface Announced extends NodeAddress {
  readonly hostname?: string | undefined
}

/** Where a server is reached, and for whom its certificate may be. */
export interface Endpoint extends NodeAddress {
  /** Where to connect when `host` is a name that does not resolve here. */
  readonly otherHost?: string
  /** The certificate has to be for one of these; the first is the name that TLS asks for. Default: for `host`. */
  readonly names?: readonly string[]
}

export interface EndpointRule {
  readonly natMap: Readonly<Record<string, NodeAddress>>
  readonly tls: TlsOptions | undefined
  /** Call nodes by their host names without TLS, too: the cluster prefers them. */
  readonly preferNames: boolean
}

/**
 * With TLS a node is called by its host name, for which certificates are made; the address that stands beside the name is
 * taken where the name does not resolve, and is as good a name for the certificate. Whoever sets `servername` has decided
 * for one name for all. In plain text a node is called by its address, unless the cluster prefers names.
 */
export function endpointOf({ host, port, hostname }: Announced, rule: EndpointRule): Endpoint {
  const { natMap, tls } = rule
  const mapped = (hostname && natMap[`${hostname}:${port}`]) || mappedIn(natMap, { host, port })
  const named = tls !== undefined && tls.servername === undefined
  if (!hostname || isIP(hostname)) return mapped ?? { host, port }
  if (mapped) return named ? { ...mapped, names: [hostname, host, mapped.host] } : mapped
  if (named) return { host: hostname, port, otherHost: host, names: [hostname, host] }
  return rule.preferNames ? { host: hostname, port, otherHost: host } : { host, port }
}

/** TLS options that take a certificate for any of the endpoint's names. */
export function tlsFor(
  { names }: Pick<Endpoint, 'names'>,
  tls: TlsOptions | undefined,
): TlsOptions | undefined {
  if (tls === undefined || names === undefined) return tls
  const check = tls.checkServerIdentity ?? checkServerIdentity
  return {
    ...tls,
    servername: names[0] ?? '',
    checkServerIdentity: (_: string, certificate: PeerCertificate) => {
      const faults = names.map((name) => check(name, certificate))
      return faults.includes(undefined) ? undefined : faults[0]
    },
  }
}

/** Whether a connection failed because the host name is not known here. */
export function isUnresolved(error: unknown): boolean {
  const { syscall, code } = error as NodeJS.ErrnoException
  return syscall === 'getaddrinfo' || code === 'ENOTFOUND' || code === 'EAI_AGAIN'
}
