import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { forkBeside } from '../../../helpers/fork.js'
import type { ApplicationSpec, ForeignAccount, FromApplication, ToApplication } from './application.js'

export type { ForeignAccount } from './application.js'
export type { Lost } from './own-key.js'

/** An application that has nothing to do with the queue, at work in a process of its own. */
export class Foreign {
  private constructor(private readonly child: ChildProcess) {}

  static async start(spec: ApplicationSpec): Promise<Foreign> {
    const child = forkBeside(import.meta.url, 'application', spec)
    const foreign = new Foreign(child)
    await foreign.#hear('ready')
    return foreign
  }

  go(): void {
    this.#say('go')
  }

  /** Looks at every key, while nothing is written. */
  async account(): Promise<ForeignAccount> {
    this.#say('account')
    return (await this.#hear('account')) as ForeignAccount
  }

  async end(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    const exit = once(this.child, 'exit')
    this.child.kill('SIGKILL')
    await exit
  }

  #say(message: ToApplication): void {
    this.child.send(message)
  }

  async #hear(wanted: FromApplication['what']): Promise<FromApplication> {
    return new Promise((resolve, reject) => {
      const done = () => {
        this.child.off('message', onMessage)
        this.child.off('exit', onExit)
      }
      const onMessage = (message: FromApplication) => {
        if (message.what !== wanted) return
        done()
        resolve(message)
      }
      const onExit = (code: number | null) => {
        done()
        reject(new Error(`the foreign application ended by itself: ${code}`))
      }
      this.child.on('message', onMessage)
      this.child.once('exit', onExit)
    })
  }
}
