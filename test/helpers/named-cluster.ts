import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ConnectionOptions as TlsOptions } from 'node:tls'
import { onTestFinished } from 'vitest'
import { type Address, withLink } from '../../src/cluster/link.js'
import { bareServers } from './bare-servers.js'
import { certificatesFor } from './certificates.js'
import { until } from './until.js'

export interface NamedCluster {
  readonly nodes: readonly Address[]
  readonly dir: string
  readonly tls: TlsOptions
}

/** Three masters that announce `localhost` and prefer it. Over TLS, their certificate is for this name and for no address. */
export async function namedCluster({ secure }: { readonly secure: boolean }): Promise<NamedCluster> {
  const dir = await mkdtemp(join(tmpdir(), 'shardq-named-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  const tlsDir = join(dir, 'tls')
  await certificatesFor('localhost', tlsDir)
  const read = (name: string) => readFile(join(tlsDir, name), 'utf8')
  const tls = { ca: await read('ca.crt'), cert: await read('client.crt'), key: await read('client.key') }
  const nodes = await bareServers(3, {
    settings: {
      'cluster-announce-hostname': 'localhost',
      'cluster-preferred-endpoint-type': 'hostname',
      'cluster-node-timeout': '1000',
    },
    ...(secure ? { tlsDir } : {}),
  })
  const access = secure ? { tls: { ...tls, servername: 'localhost' } } : {}
  const tell = (node: Address, ...[command = '', ...args]: (string | number)[]) =>
    withLink(node, access, (link) => link.text(String(command), ...args))
  if (secure) {
    // A server that is started is asked by its address.
    const files = ['tls-cert-file', join(tlsDir, 'named.crt'), 'tls-key-file', join(tlsDir, 'node.key')]
    await Promise.all(nodes.map((node) => tell(node, 'CONFIG', 'SET', ...files)))
  }
  const [first] = nodes
  await Promise.all(
    nodes.map(async (node, i) => {
      await tell(node, 'CLUSTER', 'SET-CONFIG-EPOCH', i + 1)
      const [from, to] = [0, 1].map((n) => Math.floor(((i + n) * 16_384) / 3))
      await tell(node, 'CLUSTER', 'ADDSLOTSRANGE', from ?? 0, (to ?? 0) - 1)
      if (i > 0) await tell(node, 'CLUSTER', 'MEET', '127.0.0.1', first?.port ?? 0)
    }),
  )
  await until(
    'all know all names',
    () => Promise.all(nodes.map((node) => tell(node, 'CLUSTER', 'NODES'))),
    (views) =>
      views.every((view) => view.split(',localhost').length === 4 && !/handshake/.test(view)) &&
      views.every((view) => (view.match(/connected \d/g) ?? []).length === 3),
  )
  await until(
    'all serve',
    () => Promise.all(nodes.map((node) => tell(node, 'CLUSTER', 'INFO'))),
    (infos) => infos.every((info) => info.includes('cluster_state:ok')),
  )
  return { nodes, dir, tls }
}
