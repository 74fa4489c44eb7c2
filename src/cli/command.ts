import type { Command } from 'commander'
import { Output } from './output.js'

/** What every command takes. */
export interface CommonOptions {
  readonly json?: boolean
  readonly config?: string
}

/** Adds the options that every command takes. */
export function withCommonOptions(command: Command): Command {
  return command
    .option('--json', 'print one JSON document and nothing else')
    .option('--config <file>', 'configuration file (YAML: redis.mode, nodes, url)')
}

/**
 * Runs the action of a command with an output to write to and a signal that Ctrl-C fires. The action is then
 * expected to clean up and to fail with InterruptedError; until it has, further Ctrl-C do nothing, for half a
 * clean-up is what they would leave.
 */
export async function runAction<T extends CommonOptions>(
  options: T,
  action: (options: T, output: Output, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const interrupt = new AbortController()
  const onSignal = () => interrupt.abort()
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  for (const signal of signals) process.on(signal, onSignal)
  try {
    await action(options, new Output(options.json ?? false), interrupt.signal)
  } finally {
    for (const signal of signals) process.off(signal, onSignal)
  }
}
