import { type Command, CommanderError } from 'commander'
import { InvalidOptionError } from '../errors.js'
import { reportError } from './output.js'
import { createProgram } from './program.js'

const OK = 0
const FAILED = 1
const WRONG_USAGE = 2

/** All of `shardq` but the process that it is: carries out one command. @returns the exit code */
export async function run(argv: readonly string[]): Promise<number> {
  const json = argv.includes('--json')
  const program = createProgram()
  // With --json, commander's own words about wrong usage become part of the document.
  if (json) quieten(program)
  try {
    await program.parseAsync(argv)
    return Number(process.exitCode ?? OK)
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return OK // --help and --version
      if (json) reportError(error, json)
      return WRONG_USAGE
    }
    const known = isFolderGone(error)
      ? new InvalidOptionError('working directory', GONE, { cause: error })
      : error
    reportError(known, json)
    return known instanceof InvalidOptionError ? WRONG_USAGE : FAILED
  }
}

const GONE = 'it was removed, so that no path can be told from it; type this again in a folder that is there'

/** What `process.cwd` throws, which stands behind every relative path. */
const isFolderGone = (error: unknown) => (error as NodeJS.ErrnoException | null)?.syscall === 'uv_cwd'

function quieten(command: Command): void {
  command.configureOutput({ writeErr: () => {} })
  for (const inner of command.commands) quieten(inner)
}
