import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, inject, it } from 'vitest'
import { makeHarness } from '../helpers/behaviour/harness.js'

const harness = makeHarness(() => ({ mode: 'single', url: inject('single').url }))

/** In a process of its own, without a listener for rejections that nobody handles: they end it. */
const PROGRAM = `
import { Worker } from './src/index.ts'
const [name, url] = process.argv.slice(-2)
const worker = new Worker(name, { t: () => { throw Object.create(null) } }, { connection: { mode: 'single', url } })
const dead = new Promise((resolve) => worker.on('dead', resolve))
await worker.start()
await worker.queue.enqueue('t', 1, { maxAttempts: 1 })
await dead
await worker.stop()
console.log('dead, and the process lives')
`

it('a handler that throws an object without a prototype does not end the process', async () => {
  const args = [
    '--import',
    'tsx',
    '--input-type=module',
    '--eval',
    PROGRAM,
    harness.name(),
    inject('single').url,
  ]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  let said = ''
  child.stdout.on('data', (chunk) => {
    said += chunk
  })
  const [code] = await once(child, 'close')
  expect({ code, said: said.trim() }).toEqual({ code: 0, said: 'dead, and the process lives' })
})
