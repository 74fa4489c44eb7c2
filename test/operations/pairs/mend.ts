import { setTimeout as sleep } from 'node:timers/promises'
import {
  type Address,
  compareUsers,
  describeStep,
  inspectAny,
  NodeUnreachableError,
  nameOf,
  OperationLostError,
  planFix,
  planRemoval,
  planUsers,
  verifyBackup,
} from '../../../src/cluster/index.js'
import { observe } from '../../../src/cluster/observer.js'
import { parseFields } from '../../../src/cluster/replies.js'
import { campsOf } from '../../../src/cluster/views.js'
import { tell } from '../../helpers/nodes.js'
import type { Servers } from '../common/servers.js'
import { straysOf } from '../common/strays.js'
import type { Work } from '../common/work.js'
import type { Ending } from './operate.js'

const MOST_FIXES = 3
const SETTLE_MS = 60_000
/** The machine is busy. */
export const ACCESS = { timeoutMs: 10_000 }

/**
 * Whoever is on call brings to an end what two operators have left: starts what does not run, `fix`, and `remove-node` of a server that is no node
 * any more and still takes itself for one.
 * @param onStep told of what there was to do
 * @returns what is left after that
 */
export async function mend(servers: Servers, onStep: (step: string) => void): Promise<string[]> {
  await servers.startAll()
  const { seeds } = servers.cluster
  const left = await fixed(seeds, onStep)
  for (const spare of await leftBehind(servers)) {
    onStep(`remove-node ${spare}: it was forgotten, and not reset`)
    await (await planRemoval(seeds, spare, ACCESS)).run({ evenIfChanged: true })
  }
  return left
}

/** @returns what is left in the end. Nothing: a last look has found nothing to do. */
async function fixed(seeds: readonly Address[], onStep: (step: string) => void): Promise<string[]> {
  for (let tries = 0; ; tries++) {
    try {
      const fix = await planFix(seeds, ACCESS)
      const found = [
        ...fix.steps.map((step) => `fix would ${describeStep(step)}`),
        ...fix.left.map(({ what, why, remedy }) => `fix leaves ${what}: ${why}; ${remedy}`),
      ]
      if (found.length === 0 || tries === MOST_FIXES) return found
      const report = await fix.run({ evenIfChanged: true })
      for (const step of report.done) onStep(`fix: ${describeStep(step)}`)
    } catch (error) {
      // Both say to try again, and happen where the machine stands still: this process of ours, too.
      const passes = error instanceof OperationLostError || error instanceof NodeUnreachableError
      if (!passes || tries === MOST_FIXES) throw error
      onStep(`fix: ${error.message}`)
    }
  }
}

/** Servers outside of the cluster that know of others. */
async function leftBehind({ cluster, spares }: Servers): Promise<string[]> {
  const { nodes } = await inspectAny(cluster.seeds, ACCESS)
  const names = nodes.map(nameOf)
  const found: string[] = []
  for (const spare of spares) {
    if (names.includes(nameOf(spare))) continue
    const known = parseFields(await tell(spare.port, 'CLUSTER', 'INFO')).get('cluster_known_nodes')
    if (known !== '1') found.push(nameOf(spare))
  }
  return found
}

/** What is not as it has to be, as soon as it has had time to come to rest. Nothing: every node serves, all agree, no key is astray. */
export async function structureOf(servers: Servers): Promise<string[]> {
  const deadlineMs = performance.now() + SETTLE_MS
  for (;;) {
    const found = [...(await disagreements(servers)), ...(await straysOf(servers.cluster))]
    if (found.length === 0 || performance.now() > deadlineMs) return found
    await sleep(200)
  }
}

async function disagreements({ cluster }: Servers): Promise<string[]> {
  const { nodes } = await inspectAny(cluster.seeds, ACCESS)
  const observation = await observe(nodes, ACCESS)
  const camps = campsOf(observation)
  const silent = observation.nodes.flatMap(({ up, name }) => (up ? [] : [`${name} does not answer`]))
  const failing = observation.nodes.flatMap((node) =>
    node.up && node.clusterInfo.get('cluster_state') !== 'ok' ? [`${node.name} says it is not ok`] : [],
  )
  const flagged = nodes.flatMap((node) =>
    node.flags.length > 0 ? [`${nameOf(node)} is ${node.flags.join()}`] : [],
  )
  return [
    ...silent,
    ...failing,
    ...flagged,
    ...(camps.length > 1
      ? [`nodes do not agree: ${camps.map(({ nodes }) => nodes.join(', ')).join(' | ')}`]
      : []),
  ]
}

/** Whether what says that it is done is done. */
export async function untrueEndings(
  works: readonly Work[],
  endings: readonly Ending[],
  { cluster }: Servers,
): Promise<string[]> {
  const { seeds } = cluster
  const found: string[] = []
  const isDone = (_: Work, i: number) => endings[i]?.end === 'done'
  for (const work of works.filter(isDone)) {
    if (work.operation !== 'backup') continue
    const { faults } = await verifyBackup(work.folder, { load: false })
    found.push(...faults.map((fault) => `the backup that was done: ${fault}`))
  }
  const applied = works.flatMap((work) => (work.operation === 'users apply' ? [work] : []))
  // After one that broke off nodes may differ.
  if (applied.length === 0 || !works.every((work, i) => work.operation !== 'users apply' || isDone(work, i)))
    return found
  const { users } = await compareUsers(seeds, ACCESS)
  for (const { user, differs } of users)
    for (const { node, how } of differs)
      found.push(`users apply was done, and ${node} has ${user} otherwise: ${how}`)
  const missing = await Promise.all(
    applied.map(async ({ accounts, passwords }) => {
      const wanted = { ...ACCESS, accounts, passwords: new Map(Object.entries(passwords)) }
      const { changes } = await planUsers(seeds, wanted)
      return changes.filter(({ change }) => change !== 'none')
    }),
  )
  // Of two the later one counts.
  if (missing.every((changes) => changes.length > 0))
    found.push(
      `users apply was done, and nodes have none of it as it was told: ${JSON.stringify(missing[0])}`,
    )
  return found
}
