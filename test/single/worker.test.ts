import { describe, inject } from 'vitest'
import { lostWorkerBehaviour } from '../helpers/behaviour/lost-worker.js'
import { workerBehaviour } from '../helpers/behaviour/worker.js'

describe('a worker on a single Redis', () => {
  workerBehaviour(() => ({ mode: 'single', url: inject('single').url }))
})

describe('tasks of a lost worker on a single Redis', () => {
  lostWorkerBehaviour(() => ({ mode: 'single', url: inject('single').url }))
})
