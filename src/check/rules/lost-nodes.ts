import { countIn } from '../../cluster/slots.js'
import { calledBy } from '../../cluster/views.js'
import { type Check, listed, plural, type Sighting } from '../check.js'
import { cli, FIX, toFirst } from '../commands.js'
import { isJoined, type Member, placeOf, type Scene, type Sight } from '../scene.js'

/** Nodes that the others have lost sight of: reset, restarted without their nodes.conf, or under another address. */

export const hasNoAddress = ({ line }: Member) => line.flags.includes('noaddr')

/** A replica of it that answers becomes master. @returns nothing where there is none */
export function takeOver({ id }: Member, scene: Sight): string[] {
  const replica = scene.members.find(({ line, live }) => line.masterId === id && live)
  return replica ? [cli(placeOf(replica.name, scene), 'CLUSTER FAILOVER FORCE')] : []
}

/** What is to be done about a master that owns slots and has no address: its process, if it lives, is another node by now. */
export function ownersWithoutAddress(scene: Scene): Sighting[] {
  return scene.members
    .filter((member) => hasNoAddress(member) && !member.live && member.line.slots.length > 0)
    .map((member) => {
      const mend = takeOver(member, scene)
      const slots = countIn(member.line.slots)
      const wayOut = mend.length > 0 ? 'its replica has the data' : 'no replica of it answers'
      return {
        nodes: [],
        seen: `${calledBy(member.line)} owns ${plural(slots, 'slot')}: it was reset, or lost its nodes.conf; ${wayOut}`,
        mend: mend.length > 0 ? mend : [FIX],
      }
    })
}

/** Nodes that answer, know nobody and have no slots, beside others that are a cluster. */
export const leftOut = ({ cluster }: Pick<Sight, 'cluster'>) =>
  cluster.some(({ view }) => view.filter(isJoined).length > 1)
    ? cluster.filter(({ self, view }) => view.length === 1 && self.slots.length === 0)
    : []

/** Nodes that answer here while the others look for them at an address where nobody is. */
export const lookedForElsewhere = ({ elsewhere }: Sight) => elsewhere.filter(({ by }) => by === 'others')

/** Tells one node where the others are; each of them tells the rest. */
export function introductions(scene: Sight): string[] {
  const moved = lookedForElsewhere(scene).map(({ node }) => node)
  const teller = scene.cluster.find((node) => !moved.includes(node)) ?? moved[0]
  if (!teller) return []
  const place = placeOf(teller.name, scene)
  return moved
    .filter((node) => node !== teller)
    .map(({ address: { host, port }, self }) =>
      cli(place, `CLUSTER MEET ${host} ${port}${self.busPort === port + 10_000 ? '' : ` ${self.busPort}`}`),
    )
}

export const LOST_NODES = {
  'node-left-out': {
    severity: 'error',
    about: 'a node of this cluster answers, and belongs to no cluster: it knows nobody',
    why: 'It was reset (CLUSTER RESET), or started without its nodes.conf, and so has another id: to the others it is a stranger. What it had is on the other nodes of its shard, or gone.',
    mend: ([node]) => [
      `shardq cluster add-node ${node?.host}:${node?.port} --node HOST:PORT --replica-of auto`,
    ],
    find: (scene) => {
      const out = leftOut(scene)
      const other = scene.cluster.find((node) => !out.includes(node) && node.view.length > 1)
      return out.map(({ name }) => ({
        nodes: [name],
        seen: `${name} answers, knows nobody, and has no slots`,
        // What owned the slots first: as long as they have no owner that lives, nothing joins.
        mend: [
          ...ownersWithoutAddress(scene).flatMap(({ mend = [] }) => mend),
          `shardq cluster add-node ${name} --node ${other?.name} --replica-of auto`,
        ],
      }))
    },
  },
  'address-changed': {
    severity: 'error',
    about: 'a node answers, and the others look for it at another address, where nobody is',
    why: 'It came back with another address. It tells those it knows, but where they too have other addresses, as after a restart of all of them, they do not find each other again until one is told.',
    mend: toFirst('CLUSTER MEET NEW-HOST NEW-PORT'),
    find: (scene) => {
      const moved = lookedForElsewhere(scene)
      if (moved.length === 0) return []
      return [
        {
          nodes: moved.map(({ node }) => node.name),
          seen: `${listed(moved.map(({ node, listed: { name } }) => `${node.name} (looked for at ${name})`))}`,
          mend: introductions(scene),
        },
      ]
    },
  },
} satisfies Record<string, Check>
