import { describe, inject } from 'vitest'
import { manyBehaviour } from '../helpers/behaviour/many.js'

describe('on a single Redis', () => {
  manyBehaviour(() => ({ mode: 'single', url: inject('single').url }))
})
