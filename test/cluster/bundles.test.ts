import { describe, inject } from 'vitest'
import { bundleBehaviour } from '../helpers/behaviour/bundles.js'

describe('on a cluster', () => {
  bundleBehaviour(() => ({ mode: 'cluster', nodes: inject('cluster').nodes }))
})
