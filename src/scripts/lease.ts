import type { PartitionKeys } from '../keys/keys.js'
import { loadScript, type ScriptCall } from './script.js'
import { type Settled, settledFromNumber, settledFromWord } from './settled.js'

const failScript = loadScript('fail')
const releaseScript = loadScript('release')
const renewScript = loadScript('renew')
const extendScript = loadScript('extend')

export interface FailInput {
  readonly leaseId: string
  readonly id: string
  /** Number of the attempt that failed, 1 for the first; 0 if it does not matter whether it is counted already. */
  readonly attempt?: number
  /** Ms until the next attempt, or 'die' to move the task to the dead letters. */
  readonly next: number | 'die'
  readonly error: string
}

/** `counted`: the lease does not hold the task, and the attempt is counted already: by a call before, or since the lease ran out. */
export function failCall(keys: PartitionKeys, input: FailInput): ScriptCall<Settled | 'counted'> {
  const dies = input.next === 'die'
  return {
    script: failScript,
    keys: [
      ...keys.ready,
      keys.tasks,
      keys.attempts,
      keys.scheduled,
      keys.leases,
      keys.counters,
      keys.dead,
      keys.errors,
      keys.lease(input.leaseId),
      keys.bundled,
      keys.never,
    ],
    args: [
      keys.wake,
      input.leaseId,
      input.id,
      dies ? 'die' : 'retry',
      dies ? 0 : input.next,
      input.error,
      input.attempt ?? 0,
    ],
    parse: (reply) => (reply === 'counted' ? reply : settledFromWord(failScript.name, reply)),
  }
}

/** `ids`: of tasks, and names of bundles that the lease holds as a whole; empty for all it has. */
export function releaseCall(
  keys: PartitionKeys,
  input: { readonly leaseId: string; readonly ids: readonly string[] },
): ScriptCall<Settled[]> {
  return {
    script: releaseScript,
    keys: [...keys.ready, keys.tasks, keys.leases, keys.lease(input.leaseId), keys.bundled, keys.never],
    args: [keys.wake, input.leaseId, ...input.ids],
    parse: (reply) => (reply as unknown[]).map((code) => settledFromNumber(releaseScript.name, code)),
  }
}

/** Which of the leases were renewed (`true`) and which are lost. */
export function renewCall(
  keys: PartitionKeys,
  input: { readonly leaseIds: readonly string[]; readonly leaseMs: number },
): ScriptCall<boolean[]> {
  return {
    script: renewScript,
    keys: [keys.leases, keys.never],
    args: [input.leaseMs, ...input.leaseIds],
    parse: (reply) => (reply as number[]).map((code) => code === 1),
  }
}

export interface ExtendInput {
  readonly id: string
  readonly leaseId: string
  readonly newLeaseId: string
  readonly leaseMs: number
}

export function extendCall(keys: PartitionKeys, input: ExtendInput): ScriptCall<Settled> {
  return {
    script: extendScript,
    keys: [
      keys.leases,
      keys.lease(input.leaseId),
      keys.lease(input.newLeaseId),
      keys.tasks,
      keys.bundled,
      keys.never,
    ],
    args: [input.id, input.leaseId, input.newLeaseId, input.leaseMs, keys.wake],
    parse: (reply) => settledFromWord(extendScript.name, reply),
  }
}
