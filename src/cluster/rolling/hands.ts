import { spawn } from 'node:child_process'
import { InvalidOptionError } from '../../errors.js'
import type { LinkOptions } from '../link.js'
import { askToEnd } from '../shutdown.js'
import type { RollNode } from './standing.js'

/** How a node is restarted. Returns when that was asked for; whether it came back is looked at by others. */
export interface RestartHands {
  /** For the operator to read before they agree. */
  words(node: RollNode): string
  /** @throws what stands in the way; the node may be down then */
  restart(node: RollNode, signal: AbortSignal | undefined): Promise<void>
  /** Of a node that was started and does not answer: what it ended with. Null: it runs, or that cannot be seen from here. */
  ended(node: RollNode): Promise<Error | null>
  /** The settings that the server of this node has where nothing is set; null where that cannot be found out. */
  defaults(node: RollNode): Promise<ReadonlyMap<string, string> | null>
}

/** A service manager on its host starts it again, as soon as it has ended. */
export class SupervisedHands implements RestartHands {
  constructor(private readonly access: LinkOptions) {}

  words(node: RollNode): string {
    return `SHUTDOWN to ${node.name}, and wait until its service manager has started it again`
  }

  async restart(node: RollNode): Promise<void> {
    if (node.up) await askToEnd(node, this.access)
  }

  async ended(): Promise<null> {
    return null
  }

  async defaults(): Promise<null> {
    return null
  }
}

/** Longest that a restart command may take; what it starts may take longer. */
const COMMAND_MS = 120_000
const OUTPUT_CHARS = 2_000
/** Hosts and ids come from the cluster, and a shell is to make nothing of them, nor is `ssh` to take one for an option. */
const PLAIN = /^(?!-)[A-Za-z0-9_.:-]+$/
const SECRET = /PASSWORD|REDISCLI_AUTH|SECRET|TOKEN/i

/** A command of the operator's, such as `ssh {host} systemctl restart redis@{port}`. */
export class CommandHands implements RestartHands {
  /** @throws InvalidOptionError for a template that would do the same to every node */
  constructor(
    private readonly template: string,
    private readonly timeoutMs = COMMAND_MS,
  ) {
    if (!/\{(host|port|id)\}/.test(template))
      throw new InvalidOptionError(
        '--restart-command',
        'it names no node; write {host}, {port} or {id} where it is to stand, as in: ssh {host} systemctl restart redis@{port}',
      )
  }

  words(node: RollNode): string {
    return this.#commandFor(node)
  }

  async restart(node: RollNode, signal: AbortSignal | undefined): Promise<void> {
    const command = this.#commandFor(node)
    const { code, output } = await run(command, this.timeoutMs, signal)
    if (code !== 0)
      throw new Error(`${command} ended with ${code ?? 'a signal'}${output === '' ? '' : `: ${output}`}`)
  }

  async ended(): Promise<null> {
    return null
  }

  async defaults(): Promise<null> {
    return null
  }

  #commandFor({ id, host, port }: RollNode): string {
    const values = new Map([
      ['id', id],
      ['host', host],
      ['port', String(port)],
    ])
    const refused = [...values.values()].find((value) => !PLAIN.test(value))
    if (refused !== undefined)
      throw new InvalidOptionError(
        '--restart-command',
        `${JSON.stringify(refused)} is nothing to give to a shell; look at what the node tells: CLUSTER NODES`,
      )
    return this.template.replaceAll(/\{(id|host|port)\}/g, (_, name: string) => values.get(name) ?? '')
  }
}

/** In a group of its own, so that what it has started ends with it; and without our secrets. */
async function run(
  command: string,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<{ code: number | null; output: string }> {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !SECRET.test(name)))
  const child = spawn(command, { shell: true, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-OUTPUT_CHARS)
    })
  const end = () => {
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL')
  }
  let late = false
  const timer = setTimeout(() => {
    late = true
    end()
  }, timeoutMs)
  signal?.addEventListener('abort', end, { once: true })
  try {
    // Not `close`: a service that it has started may keep our pipes open.
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject)
      child.once('exit', resolve)
    })
    return { code, output: late ? `not done within ${timeoutMs / 1000} s` : output.trim() }
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', end)
    child.stdout.destroy()
    child.stderr.destroy()
  }
}
