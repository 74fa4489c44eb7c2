import { AuthenticationError } from '../../errors.js'
import { alike, type Check, plural } from '../check.js'
import { cli, onEachHost, resume, start, type } from '../commands.js'
import type { Scene, Silent } from '../scene.js'

/** A check of what stands behind addresses that give no answer; `tell` has the words where it is this. */
function behind(
  check: Pick<Check, 'about' | 'why' | 'mend'>,
  tell: (said: Said, node: Silent) => string | undefined | false,
): Check {
  return {
    ...check,
    severity: 'error',
    find: (scene) =>
      alike(scene.silent, (node) => {
        const told = tell(saidBy(node, scene), node)
        return told && told + knownAs(node, scene)
      }),
  }
}

/** What came back in place of an answer: a first word of the server's, or what stands there instead. */
interface Said {
  readonly word: string
  readonly text: string
}

function saidBy(node: Silent, { probed }: Scene): Said {
  const knocked = probed.knocks.get(node.name)
  const { error } = node
  const refusal = error instanceof AuthenticationError ? (error.cause as Error).message : undefined
  const text = refusal ?? (knocked?.behind === 'answer' ? knocked.text.replace(/^-/, '') : '')
  if (text === '') return { word: knocked?.behind ?? '', text: error.message }
  return { word: text.split(' ', 1)[0] ?? '', text }
}

function knownAs({ name }: Silent, { members, cluster }: Scene): string {
  const member = members.find((each) => each.name === name)
  if (!member) return ''
  const { line, missedBy } = member
  const shard = line.slots.length > 0 ? `${line.role} with slots` : line.role
  return `; a ${shard} that ${missedBy.length} of ${plural(cluster.length, 'node')} miss`
}

/** The first words of replies that have a check of their own, or belong to a Redis that is otherwise well. */
const WORDS = ['NOAUTH', 'WRONGPASS', 'NOPERM', 'DENIED', 'LOADING', 'MASTERDOWN', 'MISCONF', 'ERR', '+PONG']
const PLACES = ['unknown host', 'nothing', 'nobody', 'silence', 'hang-up', '']
const isFull = ({ text }: Said) => text.includes('max number of clients')

/** Why an address gives no answer. */
export const REACH = {
  'host-unknown': behind(
    {
      about: 'the name of a host does not resolve',
      why: 'Nothing can be reached by a name that this machine does not know.',
      mend: (nodes) => [...new Set(nodes.map(({ host }) => `getent hosts ${host}`))],
    },
    ({ word }) => word === 'unknown host' && 'has a host name that does not resolve here',
  ),
  'nothing-listens': behind(
    {
      about: 'nothing listens on a node’s address (the guide’s issue 2: "No connection could be made")',
      why: 'The server has ended, or was never started, or listens on another port or address. What it served is gone until it is back, or until its replica is promoted.',
      mend: start,
    },
    ({ word }) => word === 'nothing' && 'refuses connections: nothing listens there',
  ),
  'host-silent': behind(
    {
      about: 'not even a refusal comes back from an address',
      why: 'The machine is down, the address is wrong, or a firewall drops what is sent there. A refusal would come at once; silence costs every client its time-out.',
      mend: (nodes) => nodes.map(({ host, port }) => `nc -vz -w 3 ${host} ${port}`),
    },
    ({ word }) => word === 'nobody' && 'does not even refuse the connection',
  ),
  'node-frozen': behind(
    {
      about: 'a node takes the connection and answers nothing',
      why: 'The process stands still (stopped, swapped out, in a slow command). Clients wait out their time-outs on it; the cluster replaces it after cluster-node-timeout.',
      mend: resume,
    },
    ({ word }) => word === 'silence' && 'takes the connection and does not answer',
  ),
  'hangs-up': behind(
    {
      about: 'a node ends the connection without a word',
      why: 'A server that speaks TLS alone does this to one who does not, and so does a proxy without a server behind it.',
      mend: (nodes) => nodes.map((node) => cli(node, '--tls PING')),
    },
    ({ word }) => word === 'hang-up' && 'ends the connection without a word',
  ),
  'not-redis': behind(
    {
      about: 'something that is no Redis has the port',
      why: 'Another program listens where the node should. The node cannot start there, and clients get nonsense.',
      mend: (nodes) =>
        nodes.flatMap(({ host, port }) => onEachHost(`ss -ltnp sport = :${port}`)([{ host } as never])),
    },
    (said) => {
      const known = [...WORDS, ...PLACES].includes(said.word) || isFull(said)
      return !known && 'answers, and not as a Redis does'
    },
  ),
  'protected-mode': behind(
    {
      about: 'a node refuses everybody from another machine (DENIED, protected mode)',
      why: 'A server without a password takes connections from its own machine only. Give it a password rather than turning this off.',
      mend: (nodes) =>
        nodes.flatMap(({ host, port }) => {
          const there = onEachHost(`redis-cli -p ${port} CONFIG SET requirepass "$REDISCLI_AUTH"`)
          return there([{ host } as never])
        }),
    },
    ({ word }) =>
      word === 'DENIED' && 'is in protected mode: without a password, it answers only on its own machine',
  ),
  'password-missing': behind(
    {
      about: 'a node wants a password and got none (NOAUTH)',
      why: 'Nothing can be asked of it without.',
      mend: type('export SHARDQ_REDIS_PASSWORD_FILE=/path/to/password'),
    },
    ({ word }) => word === 'NOAUTH' && 'wants a password, and got none (NOAUTH)',
  ),
  'password-wrong': behind(
    {
      about: 'a node refuses the password (WRONGPASS)',
      why: 'The password is of another cluster, or was changed on some nodes only: neither passwords nor users spread from node to node.',
      mend: type('export SHARDQ_REDIS_PASSWORD_FILE=/path/to/password'),
    },
    ({ word }) => word === 'WRONGPASS' && 'refuses user and password (WRONGPASS)',
  ),
  'rights-missing': behind(
    {
      about: 'the user may not look at a node (NOPERM)',
      why: 'Without INFO and CLUSTER nothing can be told of it.',
      mend: (nodes) =>
        nodes.map((node) => cli(node, 'ACL SETUSER USER +info +cluster|info +cluster|nodes +config|get')),
    },
    ({ word, text }) => word === 'NOPERM' && `lets us in, and no further (${text})`,
  ),
  'clients-full': behind(
    {
      about: 'a node has as many clients as it takes',
      why: 'New clients are turned away, and so are the nodes’ own replicas after a break.',
      mend: (nodes) => nodes.map((node) => cli(node, 'CONFIG SET maxclients 20000')),
    },
    (said) => isFull(said) && 'has no room for another client (max number of clients reached)',
  ),
  'node-loading': behind(
    {
      about: 'a node is reading its data (LOADING)',
      why: 'It serves nothing until all of it is in memory. This passes by itself.',
      mend: (nodes) => nodes.map((node) => cli(node, 'INFO persistence')),
    },
    ({ word }) => word === 'LOADING' && 'is still reading its data from disk',
  ),
  'node-slow': behind(
    {
      about: 'a node answers to a word, but not to a question',
      why: 'It is alive, and too slow or too much in trouble to say how it is. SLOWLOG shows what it was busy with.',
      mend: (nodes) => nodes.map((node) => cli(node, 'SLOWLOG GET 10')),
    },
    (said, { error }) =>
      ['MASTERDOWN', 'MISCONF', 'ERR', '+PONG', ''].includes(said.word) &&
      !isFull(said) &&
      `answers, but not what it was asked: ${error.message}`,
  ),
} satisfies Record<string, Check>
