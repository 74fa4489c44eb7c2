import type { ConnectionOptions } from '../../../src/connection/options.js'

/** Which protection a client does without, to see that the checker finds what it prevents. */
export type Protection = 'wait' | 'sequence' | 'fencing' | 'rerouting'

export const PROTECTIONS: readonly Protection[] = ['wait', 'sequence', 'fencing', 'rerouting']

export interface ClientSpec {
  readonly name: string
  readonly produces: boolean
  readonly works: boolean
  readonly queue: string
  readonly connection: ConnectionOptions
  /** Its ledger. */
  readonly book: string
  readonly seed: number
  readonly without: Protection | undefined
  /** Of the storm: see takeLedgerOffset. */
  readonly ledgerOffsetMs: number
  /** Tasks per second that it produces, about. Default 440: what two cores carry beside six servers. */
  readonly rate?: number | undefined
  /** Handlers that take longer and fail oftener: what a late replica does harm to. */
  readonly slow?: boolean | undefined
}

export type ToClient =
  | { readonly type: 'start'; readonly spec: ClientSpec }
  | { readonly type: 'pause' | 'go' | 'leave' }
/** `quiet`: nothing is being enqueued; `settled`: nothing is being run or completed. */
export type FromClient =
  | { readonly type: 'started' | 'quiet' }
  | { readonly type: 'failed'; readonly error: string }
