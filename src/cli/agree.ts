import { createInterface } from 'node:readline/promises'
import { InterruptedError } from '../cluster/index.js'
import { InvalidOptionError } from '../errors.js'
import type { Output } from './output.js'

/**
 * Asks on the terminal before something is done that is not harmless; `--yes` is the answer where there is none.
 * @param what what is asked about, `the drill`
 * @param why why it must be asked, `a drill strikes running servers`
 * @throws InvalidOptionError when nobody can be asked, or the answer is no; InterruptedError
 */
export async function agree(
  { yes, json }: { readonly yes?: boolean; readonly json?: boolean },
  { what, why }: { readonly what: string; readonly why: string },
  output: Output,
  signal: AbortSignal,
): Promise<void> {
  if (yes) return
  if (json || !process.stdin.isTTY || !process.stdout.isTTY)
    throw new InvalidOptionError('--yes', `${why}, and there is no terminal to ask on`)
  const terminal = createInterface({ input: process.stdin, output: process.stdout })
  // While it reads, the terminal has Ctrl-C and Ctrl-D to itself, and would leave the question open for ever.
  const gone = new AbortController()
  signal.addEventListener('abort', () => gone.abort(), { once: true })
  terminal.on('SIGINT', () => gone.abort()).on('close', () => gone.abort())
  try {
    output.line()
    const answer = await terminal.question('Do this? Type yes: ', { signal: gone.signal })
    if (answer.trim() !== 'yes') throw new InvalidOptionError('--yes', 'not agreed; nothing was done')
  } catch (error) {
    if (gone.signal.aborted) throw new InterruptedError(what, { cause: error })
    throw error
  } finally {
    terminal.close()
  }
}
