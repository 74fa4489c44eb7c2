import type { ConnectionOptions as TlsOptions } from 'node:tls'
import { parseClusterNodes } from '../connection/cluster-view.js'

/** Most names of one cluster that are kept. Beyond it, all are learnt again. */
const MOST_NAMES = 2_000

/**
 * The host names that nodes announce, for which their certificates are made. Each tool calls nodes by their addresses, and names
 * matter to nothing but TLS, so they are kept with the TLS options, which all connections to one cluster share.
 */
const namesOf = new WeakMap<TlsOptions, Map<string, string>>()

/** @param nodes what CLUSTER NODES has told */
export function learnHostnames(tls: TlsOptions, nodes: string): void {
  for (const { address } of parseClusterNodes(nodes)) {
    if (!address?.hostname || address.host === address.hostname) continue
    const names = namesOf.get(tls) ?? new Map<string, string>()
    if (names.size >= MOST_NAMES) names.clear()
    names.set(`${address.host}:${address.port}`, address.hostname)
    namesOf.set(tls, names)
  }
}

export function hostnameOf(
  tls: TlsOptions,
  { host, port }: { host: string; port: number },
): string | undefined {
  return namesOf.get(tls)?.get(`${host}:${port}`)
}
