import type { PartitionKeys } from '../keys/keys.js'
import { loadScript, type ScriptCall, unexpectedReply } from './script.js'

const script = loadScript('admit')

export interface AdmitInput {
  /** Ms for which a server must have been up that was restarted. */
  readonly leastMs: number
  /** Ms to wait besides, since it was loading its data a moment ago; or 0. */
  readonly loadingMs: number
  /** What this server has called itself to us, and for how long it has been up since. */
  readonly heard: { readonly life: string; readonly sinceMs: number } | undefined
}

export interface Admitted {
  /** Ms until tasks may be taken from the partition; 0 for now. */
  readonly waitMs: number
  /** The server's run id: another one after each restart. '' where it is not told. */
  readonly life: string
}

export function admitCall(
  keys: PartitionKeys,
  { leastMs, loadingMs, heard }: AdmitInput,
): ScriptCall<Admitted> {
  return {
    script,
    keys: [keys.admitted, keys.never],
    args: [leastMs, Math.ceil(loadingMs), heard?.life ?? '', Math.floor(heard?.sinceMs ?? 0)],
    parse(reply) {
      const [waitMs, life] = Array.isArray(reply) ? reply : []
      if (typeof waitMs !== 'number' || typeof life !== 'string') throw unexpectedReply(script.name, reply)
      return { waitMs: Math.max(0, waitMs), life }
    },
  }
}
