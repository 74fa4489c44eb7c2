import { describe, inject } from 'vitest'
import { queueBehaviour } from '../helpers/behaviour/queue.js'

describe('on a single Redis', () => {
  queueBehaviour(() => ({ mode: 'single', url: inject('single').url }))
})
