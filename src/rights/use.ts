import type { ScriptName } from './scripts.js'

/**
 * Something that a program does, with all that a server has to permit for it. Commands are written as in an access list:
 * small letters, `container|subcommand`, and `command|argument` where only that argument is meant.
 */
export interface Use {
  /** Scripts that it runs. */
  readonly scripts?: readonly ScriptName[]
  /** Commands that it sends itself, and what for. AUTH and HELLO need no right. */
  readonly commands: Readonly<Record<string, string>>
}
