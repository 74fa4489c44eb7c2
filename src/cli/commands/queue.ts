import type { Command } from 'commander'
import { registerQueueDead } from './queue-dead.js'
import { registerQueueDelete } from './queue-delete.js'
import { registerQueueList } from './queue-list.js'
import { registerQueuePause } from './queue-pause.js'
import { registerQueuePeek } from './queue-peek.js'
import { registerQueueStats } from './queue-stats.js'
import { registerQueueVerify } from './queue-verify.js'

export function registerQueue(program: Command): void {
  const queue = program
    .command('queue')
    .description('look at queues, verify, pause and delete them, and see to their dead letters')
  registerQueueList(queue)
  registerQueueStats(queue)
  registerQueuePeek(queue)
  registerQueuePause(queue)
  registerQueueDead(queue)
  registerQueueDelete(queue)
  registerQueueVerify(queue)
}
