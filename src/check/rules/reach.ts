import { TlsError } from '../../errors.js'
import type { Check } from '../check.js'
import { cli, onHost, resume, start, type } from '../commands.js'
import { behind, isFull, PLACES, WORDS } from './behind.js'
import { TLS_REACH } from './tls.js'

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
      why: 'A proxy without a server behind it does this, and a server whose listening queue is full.',
      mend: (nodes) => nodes.map(({ host, port }) => `nc -vz -w 3 ${host} ${port}`),
    },
    ({ word }) => word === 'hang-up' && 'ends the connection without a word',
  ),
  'not-redis': behind(
    {
      about: 'something that is no Redis has the port',
      why: 'Another program listens where the node should. The node cannot start there, and clients get nonsense.',
      mend: (nodes) => nodes.map(({ host, port }) => onHost(host, `ss -ltnp sport = :${port}`)),
    },
    (said, { error }) => {
      const known = [...WORDS, ...PLACES].includes(said.word) || isFull(said) || error instanceof TlsError
      return !known && 'answers, and not as a Redis does'
    },
  ),
  'protected-mode': behind(
    {
      about: 'a node refuses everybody from another machine (DENIED, protected mode)',
      why: 'A server without a password takes connections from its own machine only. Give it a password rather than turning this off.',
      mend: (nodes) =>
        nodes.map(({ host, port }) => {
          const there = onHost(host, `redis-cli -p ${port} -x CONFIG SET requirepass`)
          return `printf %s "$NEW_PASSWORD" | ${there}`
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
      why: 'New clients are turned away, and so are the nodes’ own replicas after a break. So is redis-cli: end some of the programs that have the connections first, then raise the limit.',
      mend: (nodes) => [
        ...nodes.map(({ host, port }) => onHost(host, `ss -tnp sport = :${port} or dport = :${port}`)),
        ...nodes.map((node) => cli(node, 'CONFIG SET maxclients 20000')),
      ],
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
  ...TLS_REACH,
} satisfies Record<string, Check>
