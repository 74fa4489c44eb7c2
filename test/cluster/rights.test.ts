import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, inject, it } from 'vitest'
import { NodeLink } from '../../src/cluster/link.js'
import { DELETING, VERIFYING } from '../../src/rights/queue-uses.js'
import { ROLES, type RoleName } from '../../src/rights/roles.js'
import { commandsOf } from '../../src/rights/rules.js'
import * as tools from '../../src/rights/tool-uses.js'

/** Every command that this server knows, subcommands as `container|subcommand`. */
let known: ReadonlySet<string>

beforeAll(async () => {
  const [node] = inject('cluster').nodes
  if (!node) throw new Error('no cluster')
  const link = await NodeLink.open(node)
  known = new Set((await link.reply('COMMAND', 'LIST')) as string[])
  link.close()
})

/**
 * Commands that stand in the sources of these folders, where a call or a command begins: `link.text('CLUSTER', 'NODES')`,
 * `read(node, 'TYPE', key)`, `call({ timeoutMs: 0 }, 'WAIT', 1)`, `['TIME']`.
 */
function commandsIn(...folders: readonly string[]): Map<string, string> {
  const found = new Map<string, string>()
  for (const folder of folders) {
    const path = fileURLToPath(new URL(`../../src/${folder}`, import.meta.url))
    for (const file of readdirSync(path, { recursive: true, encoding: 'utf8' })) {
      if (!file.endsWith('.ts')) continue
      const source = readFileSync(join(path, file), 'utf8')
      const calls = /[([?:]\s*(?:(?:\w+|\{[^{}]*\}),\s*)?'([A-Z][A-Z-]*)'(?:,\s*'([A-Z][A-Z-]*)')?/g
      for (const [, name = '', second = ''] of source.matchAll(calls)) {
        const [command, sub] = [name.toLowerCase(), `${name}|${second}`.toLowerCase()]
        // DEBUG has no subcommands; its first argument may be a right all the same.
        const is = known.has(sub) || command === 'debug' ? sub : command
        if (known.has(command)) found.set(is, `${folder}/${file}`)
      }
    }
  }
  return found
}

const grantedTo = (role: RoleName) => commandsOf(ROLES[role].uses)

/** MIGRATE has the other node sent these, in our name. */
const SENT_BY_SERVERS = ['select', 'restore', 'restore-asking']
/** Said to a socket, and by libraries; nobody needs a right for it. */
const FREE = ['auth', 'hello']
/**
 * A warning in health(), and CONFIG GET would show every password that is in the settings; whether a cluster prefers host names, where
 * it announces some.
 */
const OPTIONAL = ['cluster|slots', 'config|get']

describe('the operator', () => {
  it('may send whatever the tools send', () => {
    const used = commandsIn('cluster', 'check', 'drill')
    expect(used.size).toBeGreaterThan(30)
    const granted = grantedTo('operator')
    const missing = [...used].filter(([command]) => !granted.includes(command) && !FREE.includes(command))
    expect(missing).toEqual([])
  })

  it('may send nothing for the sake of tools that no tool sends', () => {
    const used = commandsIn('cluster', 'check', 'drill')
    const uses = [
      ...[tools.OBSERVING, tools.CHECKING, tools.FORMING, tools.MENDING],
      ...[tools.DRILLING, tools.GIVING_RIGHTS, tools.OPERATING],
      ...[tools.BACKING_UP, tools.RESTORING],
    ]
    const idle = commandsOf(uses).filter(
      (command) => !used.has(command) && !SENT_BY_SERVERS.includes(command),
    )
    expect(idle).toEqual([])
  })
})

describe('producers, workers, managers and metrics', () => {
  it('together may send whatever the queue sends, but for what it can do without', () => {
    const roles = ['producer', 'worker', 'manager', 'metrics'] as const
    const granted = new Set([
      ...roles.flatMap(grantedTo),
      ...commandsOf([ROLES.producer.registers, ROLES.worker.registers]),
      // verify() goes by the names of all keys, and so is for the operator alone.
      ...commandsOf([VERIFYING]),
    ])
    const used = commandsIn('connection', 'queue', 'worker', 'scripts', 'metrics')
    expect(used.size).toBeGreaterThan(15)
    // Deleting a queue is for operators, and no others.
    const lacking = [...used.keys()].filter((command) => !granted.has(command) && !FREE.includes(command))
    expect(lacking.filter((command) => !(command in DELETING.commands)).sort()).toEqual(OPTIONAL)
    const operator = grantedTo('operator')
    expect(Object.keys(DELETING.commands).filter((command) => !operator.includes(command))).toEqual([])
  })
})
