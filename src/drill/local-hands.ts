import { type LocalCluster, type NodeView, nameOf } from '../cluster/index.js'
import { shellWord } from '../shell.js'
import type { Hands } from './hands.js'
import type { Repairs } from './repairs.js'

/** Signals to processes of our own, each named by its pid and the time at which it started. */
export class LocalHands implements Hands {
  readonly words: Hands['words'] = {
    kill: (node) => `SIGKILL to ${this.#name(node)}`,
    end: (node) => `SIGTERM to ${this.#name(node)}, and wait until it has ended`,
    start: (node) => `start ${nameOf(node)} again, on its old data`,
    freeze: (node) => `SIGSTOP to ${this.#name(node)}`,
    resume: (node) => `SIGCONT to ${nameOf(node)}`,
  }
  readonly #mend = new Map<string, () => Promise<void>>()

  constructor(
    private readonly cluster: LocalCluster,
    private readonly repairs: Repairs,
  ) {}

  async check(): Promise<void> {}

  async kill(node: NodeView): Promise<void> {
    this.#oweStart(node)
    await this.cluster.killNode(node.port, 'SIGKILL')
  }

  async end(node: NodeView): Promise<void> {
    this.#oweStart(node)
    await this.cluster.killNode(node.port, 'SIGTERM')
  }

  async start(node: NodeView): Promise<boolean> {
    await this.#mend.get(node.id)?.()
    return true
  }

  async freeze({ id, host, port }: NodeView): Promise<void> {
    const pid = this.#pidOf(port)
    // Should this process end by an error that nobody caught, nothing asynchronous would run any more.
    const thaw = () => void process.kill(pid, 'SIGCONT')
    process.once('exit', thaw)
    this.#mend.set(
      id,
      this.repairs.owe(`resume the frozen node ${host}:${port}: kill -CONT ${pid}`, async () => {
        await this.cluster.resumeNode(port)
        process.off('exit', thaw)
      }),
    )
    await this.cluster.freezeNode(port)
  }

  async resume(node: NodeView): Promise<void> {
    await this.#mend.get(node.id)?.()
  }

  #oweStart({ id, port }: NodeView): void {
    const what = `start node ${port} again: shardq cluster up --data-dir ${shellWord(this.cluster.dataDir)}`
    this.#mend.set(
      id,
      this.repairs.owe(what, () => this.cluster.restartNode(port)),
    )
  }

  #name(node: NodeView): string {
    return `${nameOf(node)} (pid ${this.#pidOf(node.port)})`
  }

  #pidOf(port: number): number {
    return this.cluster.nodes.find((node) => node.port === port)?.pid ?? 0
  }
}
