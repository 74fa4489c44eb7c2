import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Command } from 'commander'
import { createProgram } from '../../src/cli/program.js'
import type { Form, Written } from './hostile-output.js'

/** What the commands are run against: a cluster of hostile names, or a node that lies. */
export interface Scene {
  /** `host:port` of a node. */
  readonly node: string
  readonly queue: string
  readonly oddQueue: string
  /** Its name is hostile, and nothing is in it. */
  readonly folder: string
  /** Holds a backup. */
  readonly backup: string
  readonly dataDir: string
  /** `host:port` of a server that is of no cluster. Default: none answers. */
  readonly newcomer?: string
}

export interface Invocation {
  readonly args: readonly string[]
  /** It goes on until it is told to end: when it has written this. */
  readonly until?: RegExp
  /** Why it is left to `npm run regressions`. */
  readonly slow?: string
}

const slowly = (slow: string, ...args: readonly string[]): Invocation => ({ args, slow })
const run = (...args: readonly string[]): Invocation => ({ args })

/** How each command is run. One that is not in here fails the test. */
export const INVOCATIONS: Readonly<Record<string, (scene: Scene) => readonly Invocation[]>> = {
  'cluster up': ({ dataDir }) => [run('--data-dir', dataDir), run('--data-dir', dataDir, '--masters', '5')],
  'cluster create': ({ node, newcomer = '127.0.0.1:1' }) => [
    run('--nodes', `${node},${node}`),
    run('--nodes', node, '--dry-run'),
    run('--nodes', `${node},${newcomer},127.0.0.1:1`, '--dry-run'),
  ],
  'cluster stop': ({ folder }) => [run('--data-dir', folder)],
  'cluster status': ({ node, dataDir }) => [
    run('--node', node),
    run('--data-dir', dataDir),
    { args: ['--node', node, '--watch', '60'], until: /slots assigned|"size"|"atMs"|✗/ },
  ],
  'cluster check': ({ node, dataDir }) => [
    run('--node', node),
    slowly('looks once more', '--data-dir', dataDir, '--strict'),
  ],
  'cluster fix': ({ node }) => [run('--node', node, '--dry-run'), run('--node', node, '--yes')],
  'cluster add-node': ({ node, folder, newcomer = '127.0.0.1:1' }) => [
    run(newcomer, '--node', node),
    run('--data-dir', folder),
    run(node, '--node', node),
  ],
  'cluster remove-node': ({ node, dataDir }) => [
    run(node, '--node', node, '--dry-run'),
    run(node, '--data-dir', dataDir, '--dry-run', '--leave-unprotected'),
  ],
  'cluster rebalance': ({ node }) => [
    run('--node', node, '--dry-run'),
    run('--node', node, '--weight', `${node}=0`, '--dry-run'),
    // Every slot is to go, and a big key with it, which is refused by its name; so nothing is left half way.
    run('--node', node, '--weight', `${node}=0.01`, '--yes', '--big-key-mb', '1', '--leave-unprotected'),
  ],
  'cluster drill': ({ node, folder }) => [
    run('--kind', 'kill', '--node', node),
    run('--kind', 'freeze', '--data-dir', folder, '--yes'),
    run('--kind', 'kill', '--node', node, '--shard', '127.0.0.1:1', '--yes'),
  ],
  'cluster certificates': ({ folder }) => [
    run('--to', `${folder}/tls`, '--host', '\u001b[2J\n✓ FORGED'),
    slowly('makes keys', '--to', `${folder}/tls`, '--host', 'a.example'),
  ],
  'cluster users print': () => [
    run('--queue', 'hx*?[a]', '--format', 'aclfile'),
    run('--queue', "hx$(touch;PWNED)'\u0085\u009b"),
    run(),
  ],
  'cluster users apply': ({ node, folder }) => [
    run('--node', node),
    run('--node', node, '--passwords', folder, '--yes'),
    run('--node', node, '--password-file', `producer=${folder}`, '--yes'),
  ],
  'cluster users compare': ({ node }) => [run('--node', node), run('--node', node, '--queue', 'hx\u200b')],
  'cluster firewall': ({ node }) =>
    ['nftables', 'ufw', 'netsh'].map((language) =>
      run('--node', node, '--for', language, '--clients', '10.1.0.0/16'),
    ),
  'cluster rolling-restart': ({ node, dataDir, folder }) => [
    run('--data-dir', folder, '--dry-run'),
    run('--node', node, '--dry-run', '--restart-command', 'echo \u001b]0;x\u0007\n✓ FORGED'),
    slowly('waits ten seconds for a sound cluster', '--data-dir', dataDir, '--dry-run'),
    slowly('waits too', '--node', node, '--dry-run', '--restart-command', 'echo {host} \u001b]0;x\u0007'),
  ],
  'cluster backup': ({ node, folder, backup }) => [
    run('--node', node, '--to', backup),
    run('--node', node, '--to', `${folder}/made`),
  ],
  'cluster backup verify': ({ folder, backup }) => [run(backup), run(folder)],
  'cluster restore': ({ node, backup, folder }) => [
    run('--from', backup, '--node', node),
    run('--from', folder, '--node', node),
  ],
  'queue list': ({ node }) => [run('--node', node)],
  'queue stats': ({ node, queue, oddQueue }) => [
    run('--node', node),
    run('--node', node, queue),
    run('--node', node, oddQueue),
    run('--node', node, 'none\u001b]0;x\u0007\n✓ FORGED'),
  ],
  'queue peek': ({ node, queue, oddQueue }) => [
    run('--node', node, queue, '--limit', '100'),
    run('--node', node, oddQueue),
  ],
  'queue pause': ({ node, oddQueue }) => [run('--node', node, oddQueue)],
  'queue resume': ({ node, oddQueue }) => [run('--node', node, oddQueue)],
  'queue dead list': ({ node, queue }) => [
    run('--node', node, queue, '--limit', '1000'),
    run('--node', node, queue, '--limit', '3'),
  ],
  'queue dead retry': ({ node, queue }) => [
    run('--node', node, queue, 'no\u001b]0;x\u0007\n✓ FORGED\u202e'),
    run('--node', node, queue, '--type', 'hx\u009b2J\u2028'),
  ],
  'queue dead purge': ({ node, queue, oddQueue }) => [
    run('--node', node, oddQueue, '--yes'),
    run('--node', node, queue),
  ],
  'queue delete': ({ node, queue, oddQueue }) => [
    run('--node', node, queue, '--yes'),
    run('--node', node, oddQueue),
  ],
  'queue verify': ({ node, queue, oddQueue }) => [run('--node', node, queue), run('--node', node, oddQueue)],
  demo: ({ folder }) => [run('--redis-path', folder), run('--tasks', 'hx\u001b]0;x\u0007\n✓ FORGED')],
  doctor: ({ node, dataDir }) => [
    run('--node', node, '-ERR hx\u001b]0;x\u0007\n✓ FORGED \u202e'),
    slowly('looks once more', '--data-dir', dataDir),
    slowly('looks once more', '--node', node, 'MOVED 1 \u001b[2J:7000', 'CLUSTERDOWN \u009b2J'),
  ],
  bench: ({ folder }) => [run('--data-dir', folder), run('--node', '127.0.0.1:1')],
  metrics: ({ node }) => [{ args: ['--node', node, '--port', '0'], until: /"metrics"|\/metrics|✗/ }],
}

/** What is quick enough for `npm test`. */
export const quickOf = (name: string, scene: Scene): readonly Invocation[] =>
  (INVOCATIONS[name]?.(scene) ?? []).filter(({ slow }) => slow === undefined)

/** `cluster backup verify` and all others that can be typed. */
export function commandNames(command: Command = createProgram(), above: readonly string[] = []): string[] {
  return command.commands.flatMap((each) => {
    const path = [...above, each.name()]
    // One with commands of its own is a command itself where it has options to be called with.
    const isOne = each.commands.length === 0 || each.options.length > 0
    return [...(isOne ? [path.join(' ')] : []), ...commandNames(each, path)]
  })
}

export const FORMS = ['text', 'json', 'terminal'] as const satisfies Form[]
const RUNNER = fileURLToPath(new URL('./processes/run-commands.mjs', import.meta.url))
/** Longest that a command may take. */
const MOST_MS = 60_000

export interface Ended extends Written {
  readonly code: number
}

/** Runs commands in one form, one after the other in a process of their own. */
export class Runner {
  #last: Promise<unknown> = Promise.resolve()

  private constructor(
    readonly form: Form,
    private readonly child: ChildProcess,
  ) {}

  static async start(form: Form): Promise<Runner> {
    const isTerminal = form === 'terminal'
    const child = fork(RUNNER, [isTerminal ? 'terminal' : 'pipe'], {
      env: { ...process.env, NO_COLOR: undefined, FORCE_COLOR: isTerminal ? '1' : undefined },
    })
    await once(child, 'message')
    return new Runner(form, child)
  }

  /** @throws when it does not end, or ends the process */
  run(
    name: string,
    { args, until }: Invocation,
    { cwd, env = {} }: { readonly cwd: string; readonly env?: NodeJS.ProcessEnv },
  ): Promise<Ended> {
    const words = [...name.split(' '), ...(this.form === 'json' ? ['--json'] : []), ...args]
    const ended = this.#last.then(async () => {
      this.child.send({ args: words, cwd, env, until: until?.source })
      const signal = AbortSignal.timeout(MOST_MS)
      const gone = new AbortController()
      const died = once(this.child, 'exit', { signal: gone.signal }).then(() => {
        throw new Error(`it ended the process: ${words.join(' ')}`)
      })
      try {
        const [answer] = await Promise.race([once(this.child, 'message', { signal }), died])
        return answer as Ended
      } catch (error) {
        throw new Error(`shardq ${words.join(' ')} did not end`, { cause: error })
      } finally {
        gone.abort()
        died.catch(() => undefined)
      }
    })
    this.#last = ended.catch(() => undefined)
    return ended
  }

  stop(): void {
    this.child.kill('SIGKILL')
  }
}
