import { describe, inject } from 'vitest'
import { peekBehaviour } from '../helpers/behaviour/peek.js'

describe('on a single Redis', () => {
  peekBehaviour(() => ({ mode: 'single', url: inject('single').url }))
})
