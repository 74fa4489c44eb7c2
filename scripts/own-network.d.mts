import type { ChildProcess, StdioOptions } from 'node:child_process'

export function canHaveOwnNetwork(): boolean
export function spawnInOwnNetwork(
  program: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  stdio?: StdioOptions,
): ChildProcess
