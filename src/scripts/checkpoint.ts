import type { PartitionKeys } from '../keys/keys.js'
import { loadScript, type ScriptCall, unexpectedReply } from './script.js'

const script = loadScript('checkpoint')

export interface CheckpointInput {
  readonly id: string
  readonly step: string
  /** JSON text. */
  readonly data: string
  /** Most bytes that all checkpoints of one task may take. */
  readonly limitBytes: number
  /** Only the holder of this lease may save; undefined: anyone. */
  readonly leaseId: string | undefined
}

export type CheckpointResult =
  | { readonly kind: 'saved' }
  | { readonly kind: 'lost' }
  | { readonly kind: 'gone' }
  /** More bytes than the limit, or than are saved while memory is full. */
  | { readonly kind: 'full' | 'memory'; readonly bytes: number }
  /** It has checkpoints of so many different steps, and may have no more. */
  | { readonly kind: 'steps'; readonly most: number }

export function checkpointCall(keys: PartitionKeys, input: CheckpointInput): ScriptCall<CheckpointResult> {
  return {
    script,
    keys: [
      keys.tasks,
      keys.checkpoints,
      ...(input.leaseId === undefined ? [] : [keys.lease(input.leaseId)]),
      keys.never,
    ],
    args: [input.id, JSON.stringify(input.step), input.data, input.limitBytes],
    parse(reply) {
      const [kind, number] = reply as [string, number]
      if (kind === 'full' || kind === 'memory') return { kind, bytes: number }
      if (kind === 'steps') return { kind, most: number }
      if (kind === 'saved' || kind === 'lost' || kind === 'gone') return { kind }
      throw unexpectedReply(script.name, reply)
    },
  }
}

export interface StoredCheckpoint {
  readonly step: string
  readonly savedAtMs: number
  readonly data: unknown
}

/** Reads the lines that checkpoint.lua writes; they are in the order of saving. */
export function parseCheckpoints(text: string): StoredCheckpoint[] {
  if (text === '') return []
  return text.split('\n').map((line) => {
    // JSON does not escape U+2028 and U+2029, which a `.` without the flag `s` does not match.
    const found = /^("(?:[^"\\]|\\.)*") (\d+) /s.exec(line)
    if (!found) throw unexpectedReply(script.name, line)
    const [head, step, savedAt] = found as unknown as [string, string, string]
    return {
      step: JSON.parse(step) as string,
      savedAtMs: Number(savedAt),
      data: JSON.parse(line.slice(head.length)) as unknown,
    }
  })
}
