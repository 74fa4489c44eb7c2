import { describe, inject } from 'vitest'
import { manyBehaviour } from '../helpers/behaviour/many.js'

describe('on a cluster', () => {
  manyBehaviour(() => ({ mode: 'cluster', nodes: inject('cluster').nodes }))
})
