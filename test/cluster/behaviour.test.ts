import { describe, inject } from 'vitest'
import { queueBehaviour } from '../helpers/behaviour/queue.js'

describe('on a cluster', () => {
  queueBehaviour(() => ({ mode: 'cluster', nodes: inject('cluster').nodes }))
})
