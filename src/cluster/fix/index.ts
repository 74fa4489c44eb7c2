/**
 * Mends what a broken move of slots, or a hand on the wrong slot, has left of a cluster. How it thinks, and what it does
 * in each case and after each failure, stands in docs/operating.md.
 */
import { InterruptedError } from '../errors.js'
import { type Address, type LinkOptions, nameOf } from '../link.js'
import { Nodes } from '../move/nodes.js'
import { mustBeAgreed, type RunOptions } from '../operation/agreed.js'
import { evenUnlocked, type Held, withOperation } from '../operation/index.js'
import { clearSpent } from '../owed/settle.js'
import { mustPermit } from '../permitted.js'
import { parseOpenSlots } from '../slots.js'
import { campsOf, noWitness, selfOf, witnessesOf } from '../views.js'
import { carryOut } from './carry-out.js'
import { type Evidence, lookAtAll, mastersOf } from './evidence.js'
import { planFrom } from './plan.js'
import {
  deedsOf,
  describe,
  type FixPlan,
  type FixStep,
  isMend,
  type Left,
  type Party,
  StepRefused,
} from './steps.js'

export type { Evidence } from './evidence.js'
export { look } from './evidence.js'
export { planFrom } from './plan.js'
export {
  commandsOf,
  deedsOf,
  describe,
  type FixPlan,
  type FixStep,
  isMend,
  type Left,
  type Party,
  type Side,
} from './steps.js'

export interface FixOptions extends LinkOptions {
  /** Nodes that are gone for good, by id or `host:port`; all others forget them. */
  readonly forget?: readonly string[]
  /**
   * Also move keys to the owner of their slot that it does not have although it has others there: it may have deleted them since.
   * Default false: they are left, and named.
   */
  readonly bringHome?: boolean
  /** Longest wait for views that differ to become one, before the plan and after the last step, in ms. Default 10,000. */
  readonly agreeMs?: number
  /** Size by MEMORY USAGE above which a key is not moved: both nodes stand still meanwhile. Default 32 MB. */
  readonly bigKeyBytes?: number
  /** Move such keys all the same. Default false. */
  readonly bigKeys?: boolean
  /** Ends it after the step, or the hundred keys, that are under way. What is done stays done. */
  readonly signal?: AbortSignal
  /** Told before and after each step, and after each batch of keys. */
  readonly onProgress?: (progress: FixProgress) => void
  /** Told why, when the repair goes on without the lock that keeps two operations apart: a broken cluster may not take it. */
  readonly onUnlocked?: (why: Error) => void
}

export type FixProgress =
  | { readonly state: 'begun' | 'done'; readonly step: FixStep }
  | { readonly state: 'moving'; readonly step: FixStep; readonly moved: number }
  | { readonly state: 'left'; readonly step: FixStep; readonly why: string }

export interface FixReport {
  readonly done: readonly FixStep[]
  /** What is still wrong, and what to do about it. Empty: mended. */
  readonly left: readonly Left[]
  readonly interrupted: boolean
  /** What a new look has found when all was done: whether all nodes that answer see the same, and slots that are open anywhere. */
  readonly agreed: boolean
  readonly openSlots: number
}

const BIG_KEY_BYTES = 32 * 1024 * 1024

/** What is to be done, and a function that does it. */
export interface PlannedFix extends FixPlan {
  /**
   * Looks once more, and does what is in both plans.
   * @throws PlanChangedError when more is to be done by now; OperationInProgressError when something else is changing the cluster,
   *   OperationLostError
   */
  run(options?: RunOptions): Promise<FixReport>
}

/**
 * Looks at a cluster and makes a plan. Changes nothing until `run`.
 * @throws NodeUnreachableError, AuthenticationError, WrongModeError when no node of the seeds can be asked; AdministrationRefusedError,
 *   InvalidOptionError
 */
export async function planFix(seeds: readonly Address[], options: FixOptions = {}): Promise<PlannedFix> {
  await mustPermit(seeds, options, 'cluster fix', ['CLUSTER COUNTKEYSINSLOT', 'CLUSTER SETSLOT', 'MIGRATE'])
  const evidence = await lookAtAll(seeds, options)
  mustBeCluster(evidence)
  const plan = planFrom(evidence, options)
  const operation = { ...evenUnlocked('fix', options.onUnlocked), settles: false }
  const run = ({ evenIfChanged = false }: RunOptions = {}) =>
    withOperation(seedsOf(evidence), options, operation, options.signal, async (held) => {
      if (held.isLocked) await clearSpent(seedsOf(evidence), { ...options, ...held })
      const now = await lookAtAll(seeds, { ...options, ...held })
      mustBeCluster(now)
      const { steps } = planFrom(now, options)
      if (!evenIfChanged) mustBeAgreed('fix', plan.steps.flatMap(deedsOf), steps.flatMap(deedsOf))
      return carryOutAll(steps, now, seeds, { ...options, ...held })
    })
  return { ...plan, run }
}

/** Those that answer: others would be asked in vain for the lock. */
const seedsOf = ({ observation }: Evidence) => witnessesOf(observation).map(({ address }) => address)

async function carryOutAll(
  steps: readonly FixStep[],
  evidence: Evidence,
  seeds: readonly Address[],
  options: FixOptions & Pick<Held, 'isLocked'>,
): Promise<FixReport> {
  const { signal, onProgress, isLocked, bigKeys = false, bigKeyBytes = BIG_KEY_BYTES } = options
  const nodes = new Nodes(options)
  for (const step of steps) if (step.kind === 'forget') nodes.givenUp.add(step.node.id)
  const masters = partiesOf(evidence)
  const done: FixStep[] = []
  const refused: Refusal[] = []
  try {
    for (const step of steps) {
      if (signal?.aborted) break
      onProgress?.({ state: 'begun', step })
      try {
        if (step.kind === 'give-back' && !isLocked) throw notOurs()
        const onKeys = (moved: number) => onProgress?.({ state: 'moving', step, moved })
        const end = await carryOut(nodes, step, masters, { bigKeys, bigKeyBytes, signal, onKeys })
        if (end === 'interrupted') break
        done.push(step)
        onProgress?.({ state: 'done', step })
      } catch (error) {
        if (error instanceof InterruptedError) break
        const why = (error as Error).message
        const remedy = error instanceof StepRefused ? error.remedy : 'then again: shardq cluster fix'
        refused.push({ step, why, remedy })
        onProgress?.({ state: 'left', step, why })
      }
    }
  } finally {
    await nodes.close()
  }
  return judge(await lookAtAll(seeds, { ...options, signal }), {
    done,
    refused,
    interrupted: signal?.aborted === true,
  })
}

const notOurs = () =>
  new StepRefused(
    'without the lock nobody can tell whether the operation that has lent it is under way still',
    'when the slots are served, again: shardq cluster fix',
  )

interface Refusal {
  readonly step: FixStep
  readonly why: string
  readonly remedy: string
}

/** Not what was done counts, but what a new look finds. */
function judge(
  evidence: Evidence,
  { done, refused, interrupted }: { done: FixStep[]; refused: Refusal[]; interrupted: boolean },
): FixReport {
  const after = planFrom(evidence)
  const told = new Set(refused.flatMap(({ step }) => subjectsOf(step)))
  const still = after.steps
    .filter((step) => isMend(step) && !subjectsOf(step).every((subject) => told.has(subject)))
    .map((step) => ({
      what: describe(step),
      why: interrupted ? 'it was stopped before' : 'it was found when the rest was done',
      remedy: 'again: shardq cluster fix',
    }))
  const open = mastersOf(evidence.observation).flatMap((each) =>
    parseOpenSlots(selfOf(each)?.openSlots ?? []),
  )
  return {
    done,
    left: [
      ...refused.map(({ step, ...rest }) => ({ what: describe(step), ...rest })),
      ...still,
      ...after.left,
    ],
    interrupted,
    agreed: campsOf(evidence.observation).length === 1,
    openSlots: new Set(open.map(({ slot }) => slot)).size,
  }
}

/** What is wrong once stays told once, however its keys were counted. */
const subjectsOf = (step: FixStep): (number | string)[] =>
  step.kind === 'assign' ? [...step.slots] : 'slot' in step ? [step.slot] : [step.node.id]

function mustBeCluster({ observation }: Evidence): void {
  if (witnessesOf(observation).length === 0) throw noWitness(observation)
}

function partiesOf({ observation }: Evidence): Party[] {
  return mastersOf(observation).flatMap((master) => {
    const self = selfOf(master)
    return self ? [{ id: self.id, host: self.host, port: self.port, name: nameOf(self) }] : []
  })
}
