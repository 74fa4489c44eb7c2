import type { ChildProcess } from 'node:child_process'
import { onTestFinished } from 'vitest'
import { type CliResult, shardq } from './cli.js'

export interface RunningCli {
  /** With -9, and what it has started stays. */
  signal(name: NodeJS.Signals): void
  readonly ended: Promise<CliResult>
}

/** The built `shardq`, to be stopped and killed while it runs. Killed when the test finishes. */
export function running(args: readonly string[]): RunningCli {
  let child: ChildProcess | undefined
  const ended = shardq(args, {
    onSpawn: (spawned) => {
      child = spawned
    },
  })
  const signal = (name: NodeJS.Signals) => void child?.kill(name)
  onTestFinished(() => signal('SIGKILL'))
  return { signal, ended }
}
