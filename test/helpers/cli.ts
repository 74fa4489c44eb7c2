import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

export const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

export interface CliResult {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface CliOptions {
  readonly cwd?: string
  readonly env?: NodeJS.ProcessEnv
  /** Called as soon as the process is there, to send it signals. */
  readonly onSpawn?: (child: ChildProcess) => void
}

/** Runs the built `shardq` (`npm test` builds it first; after `vitest` alone, it is as old as the last build). */
export async function shardq(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  const child = spawn(process.execPath, [MAIN, ...args], {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  options.onSpawn?.(child)
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, stdout, stderr }
}

/**
 * For `onSpawn`: sends the signal when what was printed so far says so, and only once. A command that has cleaned up
 * after the first no longer listens, and a second one then ends it as if it had not.
 */
export function signalOnce(signal: NodeJS.Signals, isTime: (stdout: string) => boolean) {
  return (child: ChildProcess): void => {
    let stdout = ''
    let sent = false
    child.stdout?.on('data', (text: string) => {
      stdout += text
      if (sent || !isTime(stdout)) return
      sent = true
      child.kill(signal)
    })
  }
}
