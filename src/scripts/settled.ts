import { unexpectedReply } from './script.js'

/**
 * What became of a call that only the holder of a lease may make.
 * `done`: as asked. `lost`: the lease does not hold the task, which is still there. `gone`: nor is the task; to a
 * call that was sent twice because the first reply never came, that is how its own success looks.
 */
export type Settled = 'done' | 'lost' | 'gone'

export function settledFromNumber(script: string, reply: unknown): Settled {
  switch (reply) {
    case 1:
      return 'done'
    case 0:
      return 'lost'
    case 2:
      return 'gone'
    default:
      throw unexpectedReply(script, reply)
  }
}

export function settledFromWord(script: string, reply: unknown): Settled {
  if (reply === 'done' || reply === 'lost' || reply === 'gone') return reply
  throw unexpectedReply(script, reply)
}
