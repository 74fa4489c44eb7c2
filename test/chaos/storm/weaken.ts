import { createHash } from 'node:crypto'
import { makePartitions } from '../../../src/keys/partitions.js'
import { Recent } from '../../../src/queue/recent.js'
import { enqueueCall } from '../../../src/scripts/enqueue.js'
import { exchangeCall } from '../../../src/scripts/exchange.js'
import type { Script } from '../../../src/scripts/script.js'
import { batchOf } from '../../../src/scripts/task-batch.js'
import type { Protection } from './messages.js'

/**
 * Takes a protection out of this process, as far as that is not a matter of options (client.ts). Without WAIT, what a
 * producer remembers of the last seconds would mend what was lost in them, so that goes too.
 */
export function weaken(protection: Protection | undefined): void {
  const keys = makePartitions('any', 1)[0]?.keys
  if (!keys) throw new Error('no partition')
  if (protection === 'wait') Recent.prototype.add = () => {}
  if (protection === 'sequence') {
    const input = {
      producerId: 'p',
      batchNumber: 1,
      stamp: 's',
      rememberBatchMs: 1,
      rememberKeyMs: 1,
      batch: batchOf([]),
    }
    const { script } = enqueueCall(keys, input)
    replace(script, 'if seq <= last or seq == 0 then', 'if seq == 0 then')
    // Else the names of a batch that is still there would tell as much as its number.
    replace(script, 'if #there > 0 then', 'if false then')
  }
  if (protection === 'fencing') {
    const fetch = { leaseId: 'l', leaseMs: 1, count: 0, least: 0, levels: [] }
    const { script } = exchangeCall(keys, { acknowledge: [], keepResultsMs: 0, fetch })
    // It still asks, since that is what takes bundles apart; and then does not care for the answer.
    const guard = 'holds(set, name, KEYS[4], KEYS[13])'
    replace(script, `${guard} then`, `${guard} or true then`)
  }
}

function replace(script: Script, guard: string, hole: string): void {
  if (!script.source.includes(guard)) throw new Error(`${script.name}.lua has no ${guard}`)
  const source = script.source.replace(guard, hole)
  Object.assign(script, { source, sha: createHash('sha1').update(source).digest('hex') })
}
