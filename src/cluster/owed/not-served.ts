import { ShardqError } from '../../errors.js'
import { OperationLostError } from '../errors.js'
import { isRefusal } from '../shutdown.js'

/** What a server answers, or that none does, is no reason to end an operation. @throws everything else */
export function unlessNotServed(error: unknown): void {
  const isServed = error instanceof OperationLostError || !(error instanceof ShardqError || isRefusal(error))
  if (isServed) throw error
}
