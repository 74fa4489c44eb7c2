import {
  type Address,
  addNodes,
  createCluster,
  type NodeToAdd,
  nameOf,
  planFix,
  planRebalance,
  planRemoval,
  planRolling,
  restoreCluster,
} from '../../../src/cluster/index.js'
import { moveSlots, Nodes, type Party } from '../../../src/cluster/move/index.js'

/** One operation, in a form that another process can be told. */
export type Work =
  | {
      readonly operation: 'move'
      readonly slots: readonly number[]
      readonly from: Party
      readonly to: Party
      readonly masters: readonly Party[]
    }
  | { readonly operation: 'fix' }
  | { readonly operation: 'rebalance'; readonly weights: Readonly<Record<string, number>> }
  | {
      readonly operation: 'add-node'
      readonly nodes: readonly NodeToAdd[]
      readonly weights: Readonly<Record<string, number>>
    }
  | { readonly operation: 'remove-node'; readonly node: Address }
  | { readonly operation: 'restore'; readonly folder: string; readonly redisPath?: string }
  | { readonly operation: 'rolling-restart'; readonly dataDir: string }
  /** Of masters alone. */
  | { readonly operation: 'create' }

/** Those that have a cluster to be broken off in. */
export type OperationName = Exclude<Work['operation'], 'create'>

/** Nodes that have been killed are started again only when the operation has given up. */
const COME_BACK_MS = 10_000

/** As its command does it with `--yes`. @throws whatever makes the command fail */
export async function carryOut(work: Work, seeds: readonly Address[]): Promise<void> {
  switch (work.operation) {
    case 'move': {
      const nodes = new Nodes({})
      try {
        return await moveSlots(nodes, work, work.masters).then(() => undefined)
      } finally {
        await nodes.close()
      }
    }
    case 'fix':
      return mustBeEmpty((await (await planFix(seeds)).run({ evenIfChanged: true })).left)
    case 'rebalance': {
      const plan = await planRebalance(seeds, { weights: work.weights })
      return mustBeEmpty((await plan.run({ evenIfChanged: true })).left)
    }
    case 'add-node': {
      const { rebalance } = await addNodes(seeds, work.nodes, { rebalance: { weights: work.weights } })
      return mustBeEmpty(rebalance?.left ?? [])
    }
    case 'remove-node': {
      const plan = await planRemoval(seeds, nameOf(work.node), { withReplicas: true })
      return mustBeEmpty((await plan.run()).left)
    }
    case 'restore':
      await restoreCluster(
        work.folder,
        seeds,
        work.redisPath === undefined ? {} : { redisPath: work.redisPath },
      )
      return
    case 'rolling-restart': {
      const plan = await planRolling(seeds, {
        dataDir: work.dataDir,
        comeBackMs: COME_BACK_MS,
        settleMs: COME_BACK_MS,
      })
      const { left } = await plan.run()
      if (left.length > 0) throw new Error(`left: ${left.join()}`)
      return
    }
    case 'create':
      await createCluster({ nodes: seeds, replicasPerMaster: 0, reset: true })
  }
}

function mustBeEmpty(left: readonly { readonly what: string; readonly why: string }[]): void {
  if (left.length > 0) throw new Error(left.map(({ what, why }) => `${what}: ${why}`).join('; '))
}
