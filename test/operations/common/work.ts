import {
  type Account,
  type Address,
  addNodes,
  backupCluster,
  type CreateOptions,
  type LinkOptions,
  type NodeToAdd,
  nameOf,
  planCreate,
  planFix,
  planRebalance,
  planRemoval,
  planRolling,
  planUsers,
  type RebalanceOptions,
  type RollingOptions,
  restoreCluster,
} from '../../../src/cluster/index.js'
import { moveSlots, Nodes, type Party } from '../../../src/cluster/move/index.js'
import { applyUsers } from '../../../src/cluster/users/index.js'

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
      /** Absent: each master gets its share. */
      readonly weights?: Readonly<Record<string, number>>
    }
  | { readonly operation: 'remove-node'; readonly node: Address; readonly withReplicas: boolean }
  | { readonly operation: 'backup'; readonly folder: string }
  | { readonly operation: 'restore'; readonly folder: string; readonly redisPath?: string }
  | {
      readonly operation: 'rolling-restart'
      readonly how: Pick<RollingOptions, 'dataDir' | 'restartCommand' | 'rewrite'>
    }
  | {
      readonly operation: 'users apply'
      readonly accounts: readonly Account[]
      readonly passwords: Readonly<Record<string, string>>
    }
  | {
      readonly operation: 'create'
      readonly options: Pick<CreateOptions, 'nodes' | 'replicasPerMaster' | 'reset'>
    }

export type OperationName = Work['operation']

/** An operation has come to its end and has left something, as it says. */
export class SomethingLeft extends Error {
  override readonly name = 'SomethingLeft'

  constructor(readonly left: readonly LeftOver[]) {
    super(
      left
        .map(({ what, why, remedy }) => [`${what}: ${why}`, ...(remedy ? [remedy] : [])].join('; '))
        .join('; '),
    )
  }
}

/** As a command prints it. */
interface LeftOver {
  readonly what: string
  readonly why: string
  /** Absent: the command has one for all of them. */
  readonly remedy?: string
}

/** @param evenIfChanged as with `--yes`: not only what was in the plan */
export type Run = (evenIfChanged: boolean) => Promise<void>

/** Nodes that have been killed are started again only when the operation has given up. */
const COME_BACK_MS = 10_000

/** As its command does it with `--yes`. @throws whatever makes the command fail */
export async function carryOut(work: Work, seeds: readonly Address[]): Promise<void> {
  const run = await plan(work, seeds)
  await run(true)
}

/**
 * What a command does until it asks. Where there is nothing to ask, that is nothing.
 * @param onStep told of what is about to be done to nodes
 * @returns what it does after a yes; it throws whatever makes the command fail
 */
export async function plan(
  work: Work,
  seeds: readonly Address[],
  onStep: (step: string) => void = () => {},
  access: LinkOptions = {},
): Promise<Run> {
  // Slots, of which a move tells every hundred keys.
  const moving: Pick<RebalanceOptions, 'onProgress'> = {
    onProgress: ({ state, what }) => onStep(`${state} ${what}`),
  }
  switch (work.operation) {
    case 'move':
      return async () => {
        const nodes = new Nodes(access)
        try {
          await moveSlots(nodes, work, work.masters)
        } finally {
          await nodes.close()
        }
      }
    case 'fix': {
      const fix = await planFix(seeds, access)
      return async (evenIfChanged) => mustBeEmpty((await fix.run({ evenIfChanged })).left)
    }
    case 'rebalance': {
      const rebalance = await planRebalance(seeds, { ...access, ...moving, weights: work.weights })
      return async (evenIfChanged) => mustBeEmpty((await rebalance.run({ evenIfChanged })).left)
    }
    case 'add-node':
      return async () => {
        const { rebalance } = await addNodes(seeds, work.nodes, {
          ...access,
          rebalance: { ...moving, ...(work.weights === undefined ? {} : { weights: work.weights }) },
        })
        mustBeEmpty(rebalance?.left ?? [])
      }
    case 'remove-node': {
      const removal = await planRemoval(seeds, nameOf(work.node), {
        ...access,
        ...moving,
        withReplicas: work.withReplicas,
      })
      return async (evenIfChanged) => mustBeEmpty((await removal.run({ evenIfChanged })).left)
    }
    case 'backup':
      return async () => {
        await backupCluster(seeds, work.folder, access)
      }
    case 'restore':
      return async () => {
        const which = work.redisPath === undefined ? {} : { redisPath: work.redisPath }
        await restoreCluster(work.folder, seeds, { ...access, ...which })
      }
    case 'rolling-restart': {
      const roll = await planRolling(seeds, {
        ...access,
        ...work.how,
        comeBackMs: COME_BACK_MS,
        settleMs: COME_BACK_MS,
        onProgress: (progress) => {
          if (progress.state === 'begun') onStep(progress.words)
        },
      })
      return async (evenIfChanged) => {
        const { left } = await roll.run({ evenIfChanged })
        mustBeEmpty(left.map((node) => ({ what: node, why: 'was not restarted' })))
      }
    }
    case 'users apply': {
      const { accounts } = work
      const passwords = new Map(Object.entries(work.passwords))
      const { changes } = await planUsers(seeds, { ...access, accounts, passwords })
      return async (evenIfChanged) => {
        const { nodes } = await applyUsers(seeds, {
          ...{ ...access, accounts, passwords },
          ...(evenIfChanged ? {} : { agreed: changes }),
        })
        mustBeEmpty(nodes.flatMap(({ node, error }) => (error === null ? [] : [{ what: node, why: error }])))
      }
    }
    case 'create': {
      const create = await planCreate({ ...access, ...work.options })
      return async () => {
        await create.run()
      }
    }
  }
}

function mustBeEmpty(left: readonly LeftOver[]): void {
  if (left.length > 0) throw new SomethingLeft(left)
}
