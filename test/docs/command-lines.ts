import type { Command } from 'commander'
import { expect } from 'vitest'
import { createProgram } from '../../src/cli/program.js'

/** Takes what stands after `shardq`. @throws when there is no such command or option */
export function expectCommand(line: string): void {
  let command: Command = createProgram()
  let options = false
  for (const word of line.split(' ')) {
    options ||= word.startsWith('--')
    // What follows an option may be its value.
    if (/^[a-z]/.test(word) && command.commands.length > 0 && !options) {
      const inner = command.commands.find((one) => one.name() === word)
      if (!inner) throw new Error(`there is no command \`${word}\` in: shardq ${line}`)
      command = inner
    } else if (/^--[a-z]/.test(word)) {
      expect(['--help', ...command.options.map((option) => option.long)], line).toContain(word)
    }
  }
}
