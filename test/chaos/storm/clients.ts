import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import type { Book } from '../../../src/ledger/index.js'
import { forkBeside } from '../../helpers/fork.js'
import type { ClientSpec, FromClient, ToClient } from './messages.js'

/** Longer than an enqueue may take. */
const QUIET_MS = 30_000
/** On a busy machine a process may take this long to read its program. */
const START_MS = 120_000

/** One client process: killed, frozen, and started again under the same name with a new ledger entry. */
export class Client {
  #child: ChildProcess | undefined
  #lives = 0
  #going = false

  constructor(
    readonly spec: ClientSpec,
    private readonly book: Book,
    /** Put before the command, to start it in another network namespace. */
    private readonly inside: readonly string[] = [],
  ) {}

  /** Name of the process that runs now; another one after each start. */
  get name(): string {
    return `${this.spec.name}.${this.#lives}`
  }

  async start(): Promise<void> {
    this.#lives++
    const [execPath, ...before] = this.inside
    const inside = execPath === undefined ? {} : { execPath, execArgv: [...before, process.execPath] }
    const child = forkBeside(import.meta.url, 'client', this.spec.name, inside)
    this.#child = child
    await this.#tellAndWait({ type: 'start', spec: { ...this.spec, name: this.name } }, 'started', START_MS)
    if (this.#going) this.go()
  }

  go(): void {
    this.#going = true
    this.#child?.send({ type: 'go' } satisfies ToClient)
  }

  /** Resolves when it enqueues nothing any more. */
  async pause(): Promise<void> {
    this.#going = false
    await this.#tellAndWait({ type: 'pause' }, 'quiet')
  }

  async kill(): Promise<void> {
    const child = this.#child
    if (!child) return
    this.#child = undefined
    this.book.write({ what: 'stopped', process: this.name })
    // One that could not even start tells of its end no second time.
    if (child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }

  /** Ends in good order: a worker lets its handlers finish, a producer waits for its acknowledgements. */
  async leave(): Promise<void> {
    const child = this.#child
    if (!child) throw new Error(`${this.name} does not run`)
    const ended = once(child, 'exit')
    const late = setTimeout(() => child.kill('SIGKILL'), QUIET_MS)
    child.send({ type: 'leave' } satisfies ToClient)
    const [code] = await ended
    clearTimeout(late)
    this.#child = undefined
    if (code !== 0) throw new Error(`${this.name} did not end in good order: ${code}`)
  }

  freeze(): void {
    this.book.write({ what: 'stopped', process: this.name })
    this.#child?.kill('SIGSTOP')
  }

  /** It runs on, and nobody hears of it: to the others it is a process that stands still. */
  cutOff(): void {
    this.book.write({ what: 'stopped', process: this.name })
  }

  reachable(): void {
    this.book.write({ what: 'resumed', process: this.name })
  }

  /** Written down first: it may run, and write itself, before the signal has returned to us. */
  thaw(): void {
    this.book.write({ what: 'resumed', process: this.name })
    this.#child?.kill('SIGCONT')
  }

  async #tellAndWait(message: ToClient, wanted: FromClient['type'], timeoutMs = QUIET_MS): Promise<void> {
    const child = this.#child
    if (!child) throw new Error(`${this.name} does not run`)
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => done(new Error(`${this.name}: not ${wanted} in time`)), timeoutMs)
      const onMessage = (reply: FromClient) => {
        if (reply.type === wanted) done()
        else if (reply.type === 'failed') done(new Error(`${this.name}: ${reply.error}`))
      }
      const onExit = (code: number | null) => done(new Error(`${this.name} ended by itself: ${code}`))
      const done = (error?: Error) => {
        clearTimeout(timer)
        child.off('message', onMessage)
        child.off('exit', onExit)
        if (error) reject(error)
        else resolve()
      }
      child.on('message', onMessage)
      child.once('exit', onExit)
      child.send(message)
    })
  }
}
