import { describe, inject } from 'vitest'
import { bundleBehaviour } from '../helpers/behaviour/bundles.js'

describe('on a single Redis', () => {
  bundleBehaviour(() => ({ mode: 'single', url: inject('single').url }))
})
