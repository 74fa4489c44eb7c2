import type { PartitionKeys } from '../keys/keys.js'
import { loadScript, type ScriptCall, unexpectedReply } from './script.js'

const script = loadScript('inspect')

/** Of a dead letter whose own is lost. */
const UNKNOWN_ERROR = JSON.stringify({ name: 'Error', message: 'unknown' })

export type StoredTask =
  | {
      readonly state: 'ready' | 'active'
      readonly record: string
      readonly attemptsUsed: number
      readonly checkpoints: string
    }
  | {
      readonly state: 'scheduled' | 'dead'
      readonly record: string
      readonly attemptsUsed: number
      readonly checkpoints: string
      /** When it is due, or died. */
      readonly atMs: number
      /** JSON. */
      readonly error: string
    }
  | {
      readonly state: 'completed'
      readonly record: string
      readonly attemptsUsed: number
      readonly atMs: number
      /** JSON. */
      readonly result: string
    }

export function inspectCall(
  keys: PartitionKeys,
  input: { readonly id: string; readonly leaseIds: readonly string[] },
): ScriptCall<StoredTask | null> {
  return {
    script,
    keys: [
      keys.tasks,
      keys.attempts,
      keys.scheduled,
      keys.dead,
      keys.errors,
      keys.results,
      keys.checkpoints,
      keys.resultExpiry,
      ...input.leaseIds.map((id) => keys.lease(id)),
      keys.never,
    ],
    args: [input.id],
    parse(reply) {
      const [state, record, attempts, time, error, kept, checkpoints] = reply as string[]
      if (state === undefined) return null
      const common = { record: record ?? '', attemptsUsed: Number(attempts), checkpoints: checkpoints ?? '' }
      switch (state) {
        case 'ready':
        case 'active':
          return { state, ...common }
        case 'scheduled':
        case 'dead':
          return {
            state,
            ...common,
            atMs: Number(time),
            error: state === 'dead' ? error || UNKNOWN_ERROR : '',
          }
        case 'completed':
          return parseKept(kept ?? '')
        default:
          throw unexpectedReply(script.name, reply)
      }
    },
  }
}

/** What exchange.lua keeps of a completed task; the length counts bytes, hence the buffer. */
function parseKept(kept: string): StoredTask {
  const found = /^(\d+) (\d+) (\d+) /.exec(kept)
  if (!found) throw unexpectedReply(script.name, kept)
  const body = Buffer.from(kept.slice(found[0].length), 'utf8')
  const length = Number(found[3])
  return {
    state: 'completed',
    atMs: Number(found[1]),
    attemptsUsed: Number(found[2]),
    result: body.subarray(0, length).toString('utf8'),
    record: body.subarray(length).toString('utf8'),
  }
}
