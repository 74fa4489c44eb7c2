import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { MAIN } from './cli.js'

export interface Terminal {
  /** All that was written so far, with what moves the cursor. */
  readonly text: string
  type(keys: string): void
  /** Exit code, when it has ended. */
  readonly closed: Promise<number | null>
}

/** Runs the built `shardq` on a terminal of this size, by util-linux' `script`. Ctrl-C is typed as `\u0003`. */
export function onTerminal(args: readonly string[], { columns = 100, rows = 30 } = {}): Terminal {
  const words = [process.execPath, MAIN, ...args].map((word) => `'${word}'`).join(' ')
  const command = `stty cols ${columns} rows ${rows}; exec ${words}`
  const child = spawn('script', ['-qefc', command, '/dev/null'], { stdio: ['pipe', 'pipe', 'inherit'] })
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    text += part
  })
  return {
    get text() {
      return text
    },
    type: (keys) => void child.stdin.write(keys),
    closed: once(child, 'close').then(([code]) => code as number | null),
  }
}
