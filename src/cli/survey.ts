import {
  type Address,
  type LinkOptions,
  NodeFullError,
  NodeUnreachableError,
  nameOf,
} from '../cluster/index.js'
import { withLink } from '../cluster/link.js'
import type { ConnectionOptions } from '../connection/options.js'
import { AuthenticationError, TlsError } from '../errors.js'
import { type Depths, depthsOf } from '../queue/depths.js'
import type { Surveyor } from '../queue/surveyor.js'
import { findNodes, seedsOf } from './find-nodes.js'
import type { QueueFlags } from './open-queue.js'

/** Most queues that are shown in one table. */
const MOST_QUEUES = 1_000
/** Ms; of `queue list` and `queue stats`. */
export const SURVEY_MS = 2_000

/**
 * Looks at all queues once. What does not answer within the time-out, 2 s by default, is named as silent.
 * @throws NodeUnreachableError when nothing answers, AuthenticationError, TlsError
 */
export async function surveyQueues(flags: QueueFlags): Promise<Depths> {
  const connection = await findNodes(flags)
  const timeoutMs = flags.timeoutMs ?? SURVEY_MS
  const found = await withSurveyor(connection, timeoutMs, (surveyor) => surveyor.survey())
  const { error, reached } = found
  if (error === undefined || reached) return depthsOf(found)
  if (error instanceof AuthenticationError || error instanceof TlsError) throw error
  const { seeds, access } = seedsOf(connection)
  throw (
    (await turnedAway(seeds, { ...access, timeoutMs })) ??
    new NodeUnreachableError(seeds.map(nameOf).join(', '), { cause: error })
  )
}

/** What a node says that takes no more clients; undefined where none says so. */
async function turnedAway(
  seeds: readonly Address[],
  access: LinkOptions,
): Promise<NodeFullError | undefined> {
  const answers = await Promise.all(
    seeds.map((seed) => withLink(seed, access, (link) => link.text('PING')).catch((error: unknown) => error)),
  )
  return answers.find((answer) => answer instanceof NodeFullError)
}

/** A surveyor to look with as often as is wanted, over the same connections. */
export async function withSurveyor<Result>(
  connection: ConnectionOptions,
  timeoutMs: number,
  use: (surveyor: Surveyor) => Promise<Result>,
): Promise<Result> {
  // Not before it is needed: help and wrong usage are answered without it.
  const module = await import('../queue/surveyor.js')
  const surveyor = new module.Surveyor(connection, {
    timeoutMs,
    commandTimeoutMs: timeoutMs / 2,
    mostQueues: MOST_QUEUES,
  })
  try {
    return await use(surveyor)
  } finally {
    surveyor.close()
  }
}
