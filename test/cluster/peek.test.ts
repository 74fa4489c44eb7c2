import { describe, inject } from 'vitest'
import { peekBehaviour } from '../helpers/behaviour/peek.js'

describe('on a cluster', () => {
  peekBehaviour(() => ({ mode: 'cluster', nodes: inject('cluster').nodes }))
})
