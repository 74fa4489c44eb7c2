import type { TlsFault } from '../../errors.js'
import { alike, type Check, each } from '../check.js'
import { setting, type } from '../commands.js'
import { behind } from './behind.js'

const SEEN: Readonly<Record<TlsFault, string>> = {
  'not-tls': 'does not speak TLS, and we do',
  'tls-only': 'speaks TLS alone, and we do not',
  handshake: 'and we do not agree on TLS',
  'unknown-authority': 'has a certificate of an authority that is not trusted here',
  'wrong-host': 'has a certificate for other names than this address',
  'client-certificate': 'wants a client certificate, or refuses ours',
  expired: 'has a certificate that is not valid at this time',
}

const tlsFails = (about: Pick<Check, 'about' | 'why' | 'mend'>, ...faults: readonly TlsFault[]) =>
  behind(about, ({ word }) => {
    const fault = faults.find((each) => each === word)
    return fault && SEEN[fault]
  })

/** Why TLS with an address does not come about. */
export const TLS_REACH = {
  'tls-mismatch': tlsFails(
    {
      about: 'one side speaks TLS, and the other does not',
      why: 'A server speaks TLS on its tls-port alone and plain text on its port alone. What is set here, and what is set there, have to be the same.',
      mend: type('export SHARDQ_REDIS_TLS_CA_FILE=/path/to/ca.crt', 'export SHARDQ_REDIS_TLS=false'),
    },
    ...(['not-tls', 'tls-only', 'handshake'] as const),
  ),
  'certificate-untrusted': tlsFails(
    {
      about: 'a node’s certificate is of an unknown authority, or for other names',
      why: 'Either the authority of the cluster was not named here, or this is not the server that is meant. The certificate has to be for every address that the nodes announce.',
      mend: type(
        'export SHARDQ_REDIS_TLS_CA_FILE=/path/to/ca.crt',
        'shardq cluster certificates --to tls --host HOST',
      ),
    },
    ...(['unknown-authority', 'wrong-host'] as const),
  ),
  'client-certificate': tlsFails(
    {
      about: 'a node wants a certificate of its clients, and got none that it trusts',
      why: 'tls-auth-clients is yes there, which is the default of Redis.',
      mend: type(
        'export SHARDQ_REDIS_TLS_CERT_FILE=/path/to/client.crt',
        'export SHARDQ_REDIS_TLS_KEY_FILE=/path/to/client.key',
      ),
    },
    'client-certificate',
  ),
  'certificate-expired': tlsFails(
    {
      about: 'a node’s certificate has run out',
      why: 'No client that looks takes it, and the nodes lose each other at the next break of a connection. A restart with a new one mends it, or CONFIG SET over a connection that is still there.',
      mend: (nodes) => renewed(nodes),
    },
    'expired',
  ),
} satisfies Record<string, Check>

const DAY_MS = 86_400_000
/** Time enough to ask somebody for a new one. */
const SOON_DAYS = 30

const renewed: Check['mend'] = (nodes) => [
  'shardq cluster certificates --to tls-new --ca tls',
  ...setting('tls-cert-file', 'FILE tls-key-file FILE')(nodes),
]

/** How the nodes are set up for TLS. */
export const TLS_SETTINGS = {
  'tls-half': {
    severity: 'warning',
    about: 'TLS for clients, and not between the nodes',
    why: 'Replication and the cluster bus stay readable for whoever sits between the nodes: tls-replication and tls-cluster are settings of their own.',
    mend: (nodes) => [...setting('tls-replication', 'yes')(nodes), ...setting('tls-cluster', 'yes')(nodes)],
    find: ({ cluster }) =>
      alike(cluster, ({ config }) => {
        if (!config || Number(config.get('tls-port') ?? 0) === 0) return undefined
        const off = ['tls-replication', 'tls-cluster'].filter((name) => config.get(name) === 'no')
        return off.length > 0 && `tls-port ${config.get('tls-port')}, and ${off.join(' no, ')} no`
      }),
  },
  'certificate-ends': {
    severity: 'warning',
    about: `a node’s certificate runs out within ${SOON_DAYS} days`,
    why: 'From that day on no client takes it, all nodes at once if they have the same.',
    mend: (nodes) => renewed(nodes),
    find: ({ live, probed, observation }) =>
      each(live, ({ name }) => {
        const endsMs = probed.certificates.get(name)
        if (endsMs === undefined) return undefined
        const days = Math.floor((endsMs - observation.atMs) / DAY_MS)
        const date = new Date(endsMs).toISOString().slice(0, 10)
        return days < SOON_DAYS && `has a certificate that runs out in ${days} days (${date})`
      }),
  },
} satisfies Record<string, Check>
