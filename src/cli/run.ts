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
    reportError(error, json)
    return error instanceof InvalidOptionError ? WRONG_USAGE : FAILED
  }
}

function quieten(command: Command): void {
  command.configureOutput({ writeErr: () => {} })
  for (const inner of command.commands) quieten(inner)
}
