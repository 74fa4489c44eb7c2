import { setTimeout as sleep } from 'node:timers/promises'
import { ClusterNotReadyError, type NodeView, nameOf } from '../cluster/index.js'
import { takeOver, windowMs } from '../cluster/take-over.js'
import { waitUntilWhole } from '../cluster/whole.js'
import { blockedForMs, cutReplicas } from './failover.js'
import type { Hands } from './hands.js'
import type { DrillKind } from './options.js'
import type { Shard, Target } from './target.js'
import { seenBy, type Watch } from './watch.js'

/** What a fault has at hand while it runs. */
export interface Scene {
  readonly target: Target
  readonly hands: Hands
  readonly watch: Watch
  readonly freezeMs: number | undefined
  readonly signal: AbortSignal
  /** Enters a deed into the ledger, at the moment that it is done. */
  deed(text: string): void
  /** As `deed`; it is the one from which time counts. */
  strike(text: string): void
  /** Tells the operator, now and in the report. */
  note(text: string): void
  /** Tells the operator, now. */
  say(text: string): void
}

interface Fault {
  /** What is to be seen, for the report. */
  readonly promotes: (freezeMs: number | undefined) => boolean
  readonly plan: (shard: Shard, hands: Hands, freezeMs: number | undefined) => readonly string[]
  /** Nodes that must permit it. */
  readonly strikes: (shard: Shard) => readonly NodeView[]
  /** @returns whether every node runs in the end */
  readonly run: (scene: Scene) => Promise<boolean>
}

/** After a promotion the shard stays without a replica for so long: what it does then is part of what is measured. */
const ALONE_MS = 1_000
/** How long the replica stands still in `replica-lag`, but never so long that it is taken for dead. */
const LAG_MS = 2_000
const LAG_OF_TIMEOUT = 0.6
const AGREE_MS = 10_000

const until = 'until a replica is promoted'

export const FAULTS: Readonly<Record<DrillKind, Fault>> = {
  kill: {
    promotes: () => true,
    plan: ({ master }, { words }) => [words.kill(master), `wait ${until}`, words.start(master)],
    strikes: ({ master }) => [master],
    run: async (scene) => {
      const { master } = scene.target.shard
      scene.strike(scene.hands.words.kill(master))
      await scene.hands.kill(master)
      await promotion(scene)
      return comeBack(scene, master)
    },
  },

  freeze: {
    promotes: (freezeMs) => freezeMs === undefined,
    plan: ({ master }, { words }, freezeMs) => [
      words.freeze(master),
      freezeMs === undefined ? `wait ${until}` : `wait ${freezeMs} ms`,
      words.resume(master),
    ],
    strikes: ({ master }) => [master],
    run: async (scene) => {
      const { hands, freezeMs, target } = scene
      const { master } = target.shard
      scene.strike(hands.words.freeze(master))
      await hands.freeze(master, freezeMs ?? promotionMs(target) / 2)
      if (freezeMs === undefined) await promotion(scene)
      else await sleep(freezeMs, undefined, { signal: scene.signal })
      await hands.resume(master)
      scene.deed(`${nameOf(master)} runs on`)
      return true
    },
  },

  failover: {
    promotes: () => true,
    plan: ({ master, replicas: [replica] }) => [
      `CLUSTER FAILOVER to ${replica ? nameOf(replica) : '?'}, and wait until every node agrees`,
      `CLUSTER FAILOVER to ${nameOf(master)}, so that it has its shard again`,
    ],
    strikes: () => [],
    run: runFailover,
  },

  restart: {
    promotes: () => false,
    plan: ({ master }, { words }) => [words.end(master), words.start(master)],
    strikes: ({ master }) => [master],
    run: async (scene) => {
      const { master } = scene.target.shard
      scene.strike(scene.hands.words.end(master))
      await scene.hands.end(master)
      const back = await comeBack(scene, master)
      if (scene.watch.promoted) scene.note('a replica was promoted meanwhile: it took too long to come back')
      return back
    },
  },

  'replica-lag': {
    promotes: () => true,
    plan: ({ master, replicas }, { words }) => [
      ...replicas.map((replica) => words.freeze(replica)),
      `CLIENT KILL TYPE replica to ${nameOf(master)}, so that nothing waits in the replica's socket either`,
      `wait ${LAG_MS} ms at most, so that the node time-out is not reached`,
      words.kill(master),
      ...replicas.map((replica) => words.resume(replica)),
      `wait ${until}`,
      words.start(master),
    ],
    strikes: ({ master, replicas }) => [master, ...replicas],
    run: runReplicaLag,
  },
}

async function runReplicaLag(scene: Scene): Promise<boolean> {
  const { hands, target, signal } = scene
  const { master, replicas } = target.shard
  const lagMs = Math.min(LAG_MS, Math.floor(target.nodeTimeoutMs * LAG_OF_TIMEOUT))
  for (const replica of replicas) {
    scene.deed(hands.words.freeze(replica))
    await hands.freeze(replica, lagMs)
  }
  scene.deed(`CLIENT KILL TYPE replica to ${nameOf(master)}`)
  await cutReplicas(target, master)
  await sleep(lagMs, undefined, { signal })
  scene.strike(hands.words.kill(master))
  await hands.kill(master)
  for (const replica of replicas) {
    await hands.resume(replica)
    scene.deed(`${nameOf(replica)} runs on, without what it missed`)
  }
  await promotion(scene)
  return comeBack(scene, master)
}

async function runFailover(scene: Scene): Promise<boolean> {
  const { target, signal } = scene
  const { master, replicas } = target.shard
  const [replica] = replicas
  if (!replica) return true
  const blockedMs = await blockedForMs(target, replica)
  if (blockedMs > 0) {
    scene.say(`${nameOf(replica)} was elected a moment ago, and cannot be again for ${blockedMs} ms; waiting`)
    await sleep(blockedMs, undefined, { signal })
  }
  scene.strike(`CLUSTER FAILOVER to ${nameOf(replica)}`)
  if (!(await takeOver(target.addressOf(replica), target.access, signal))) {
    const waitMs = windowMs(target.nodeTimeoutMs)
    scene.note(`it answered OK and did not take over; tried again after ${waitMs} ms`)
    await sleep(waitMs, undefined, { signal })
    scene.strike(`CLUSTER FAILOVER to ${nameOf(replica)}, again`)
    if (!(await takeOver(target.addressOf(replica), target.access, signal))) {
      scene.note('it answered OK and did not take over a second time either')
      return true
    }
  }
  await promotion(scene, 0)
  if (await scene.watch.untilAllSee(replica.id, AGREE_MS, signal)) scene.say('every node agrees')
  else scene.note(`not every node had heard of it after ${AGREE_MS} ms`)
  await failBack(scene, master)
  return true
}

/** Not part of the verdict: the shard is served either way. Before all agree it would be dropped without a word. */
async function failBack(scene: Scene, master: NodeView): Promise<void> {
  const { target, signal } = scene
  try {
    const nodes = target.before.nodes.map(target.addressOf)
    await waitUntilWhole(nodes, target.access, { timeoutMs: AGREE_MS, signal })
  } catch (error) {
    if (!(error instanceof ClusterNotReadyError)) throw error
    return scene.note(`not handed back, since the nodes do not agree: ${error.missing.join('; ')}`)
  }
  if ((await blockedForMs(target, master)) > 0) {
    return scene.note(`not handed back: ${nameOf(master)} was elected a moment ago, and would be refused`)
  }
  scene.deed(`CLUSTER FAILOVER to ${nameOf(master)}, to hand the shard back`)
  if (await takeOver(target.addressOf(master), target.access, signal))
    scene.say(`${nameOf(master)} is the master again`)
  else scene.note(`${nameOf(master)} answered OK and did not take its shard back; it stays a replica`)
}

/** Waits for it, and then for what the shard does without a replica. Without one, the report will say so. */
async function promotion({ target, watch, signal, say, note }: Scene, aloneMs = ALONE_MS): Promise<void> {
  const limitMs = promotionMs(target)
  if (await watch.untilPromoted(limitMs, signal)) {
    if (watch.promoted) say(`${seenBy(watch.promoted)} is master of the shard`)
    else note('no replica was promoted: the master came back before one could be')
    await sleep(aloneMs, undefined, { signal })
  } else {
    note(`no replica was promoted within ${limitMs} ms`)
  }
}

/** Detection takes up to 2 node time-outs, and an election that fails is repeated after 2 to 4. */
const promotionMs = ({ nodeTimeoutMs }: Target) => 4 * nodeTimeoutMs + 10_000

async function comeBack(scene: Scene, node: NodeView): Promise<boolean> {
  const back = await scene.hands.start(node)
  if (back) scene.deed(`${nameOf(node)} runs again`)
  else scene.note(`${nameOf(node)} did not come back: no service manager started it; start it by hand`)
  return back
}
