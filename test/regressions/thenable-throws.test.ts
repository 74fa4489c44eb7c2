import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, inject, it } from 'vitest'
import { makeHarness } from '../helpers/behaviour/harness.js'

const harness = makeHarness(() => ({ mode: 'single', url: inject('single').url }))

/** In a process of its own, without a listener for rejections that nobody handles: they end it. */
const PROGRAM = `
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from './src/index.ts'
const [name, url] = process.argv.slice(-2)
const fails = async () => { await sleep(1); throw new Error('the query fails') }
class Query extends Promise { then() { return fails() } }
const itself = { then(resolve) { resolve(itself) } }
const handlers = {
  thenable: () => ({ then: fails }),
  nested: () => ({ then: (resolve) => resolve({ then: fails }) }),
  subclass: () => new Query((_, reject) => reject(new Error('beneath'))),
  promise: () => Object.assign(fails(), { then: fails }),
  itself: () => itself,
  twice: () => ({ then(resolve, reject) { resolve(1); reject(new Error('x')); throw new Error('y') } }),
  unread: (task) => {
    for (const call of [() => task.checkpoints(), () => task.checkpoint('', 1), () => task.checkpoint('a', 10n), () => task.extend(1), () => task.fail('x', { no: 1 })]) void call()
    return sleep(20)
  },
  progress: (task, ctx) => {
    const timer = setInterval(() => { void ctx.checkpoint('progress', 1); void ctx.checkpoints(); void task.extend(5_000) }, 1)
    setTimeout(() => clearInterval(timer), 100)
    return sleep(20)
  },
}
const worker = new Worker(name, handlers, { connection: { mode: 'single', url } })
const types = Object.keys(handlers)
const ended = {}
const all = new Promise((resolve) => {
  const end = (outcome) => ({ task, error }) => {
    ended[task.type] = error ? outcome + ': ' + error.message : outcome
    if (Object.keys(ended).length === types.length) resolve()
  }
  worker.on('completed', end('completed'))
  worker.on('dead', end('dead'))
})
const heard = new Set()
worker.on('error', (error) => heard.add(error.message))
worker.on('completed', () => ({ then: fails }))
await worker.start()
for (const type of types) await worker.queue.enqueue(type, 1, { maxAttempts: 1 })
await all
await sleep(150)
await worker.stop()
console.log(JSON.stringify({ ended, heard: [...heard] }))
`

it('promises and thenables of handlers and listeners that fail in every way do not end the process', async () => {
  const { url } = inject('single')
  const args = ['--import', 'tsx', '--input-type=module', '--eval', PROGRAM, harness.name(), url]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  let said = ''
  child.stdout.on('data', (chunk) => {
    said += chunk
  })
  const [code] = await once(child, 'close')
  expect(code).toBe(0)
  expect(JSON.parse(said)).toEqual({
    ended: {
      thenable: 'dead: the query fails',
      nested: 'dead: the query fails',
      subclass: 'dead: the query fails',
      promise: 'dead: the query fails',
      itself: 'dead: it resolved to another `then` 100 times in a row',
      twice: 'completed',
      unread: 'completed',
      progress: 'completed',
    },
    heard: ['the query fails'],
  })
})
