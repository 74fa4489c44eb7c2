import { describe, inject } from 'vitest'
import { lostWorkerBehaviour } from '../helpers/behaviour/lost-worker.js'
import { workerBehaviour } from '../helpers/behaviour/worker.js'

describe('a worker on a cluster', () => {
  workerBehaviour(() => ({ mode: 'cluster', nodes: inject('cluster').nodes }))
})

describe('tasks of a lost worker on a cluster', () => {
  lostWorkerBehaviour(() => ({ mode: 'cluster', nodes: inject('cluster').nodes }))
})
