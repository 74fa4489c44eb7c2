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
}

export type ToClient =
  | { readonly type: 'start'; readonly spec: ClientSpec }
  | { readonly type: 'pause' | 'go' }
/** `quiet`: nothing is being enqueued; `settled`: nothing is being run or completed. */
export type FromClient =
  | { readonly type: 'started' | 'quiet' }
  | { readonly type: 'failed'; readonly error: string }
