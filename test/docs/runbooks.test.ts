import type { Command } from 'commander'
import { Redis } from 'ioredis'
import { afterAll, describe, expect, inject, it } from 'vitest'
import { createProgram } from '../../src/cli/program.js'
import { blocks, page, RUNBOOKS } from './markdown.js'

/** What else a system has. */
const PROGRAMS = 'curl systemctl journalctl tail dmesg grep nc free df sysctl tr promtool amtool'.split(' ')

const pages = await Promise.all(RUNBOOKS.map(async (name) => ({ name, text: await page(name) })))
const lines = pages.flatMap(({ text }) => blocks(text, 'sh').flatMap((block) => block.split('\n')))
/** Of a pipe, each part; without comments. */
const commands = lines
  .flatMap((line) => line.replace(/\s#.*$/, '').split(' | '))
  .map((line) => line.replace(/ < \S+$/, '').trim())
  .filter((line) => line !== '')

const words = (line: string) =>
  [...line.matchAll(/"([^"]*)"|'([^']*)'|\S+/g)].map(([word, double, single]) => double ?? single ?? word)

/** The commands that begin so, without that; each once. */
const startingWith = (beginning: string) => [
  ...new Set(
    commands.filter((line) => line.startsWith(beginning)).map((line) => line.slice(beginning.length)),
  ),
]

it('runbooks use programs that we know', () => {
  for (const line of commands) {
    const [program = ''] = words(line)
    expect(['npx', 'redis-cli', ...PROGRAMS], line).toContain(program)
  }
})

describe('the command line takes what runbooks type', () => {
  it.each(startingWith('npx shardq '))('shardq %s', async (line) => {
    const program = createProgram()
    const taken: string[] = []
    for (const command of everyCommand(program)) command.action(() => void taken.push(command.name()))
    await program.parseAsync(['node', 'shardq', ...words(line)])
    expect(taken).toHaveLength(1)
  })
})

describe('the server takes what runbooks send', () => {
  const [node] = inject('cluster').nodes
  const client = new Redis({ ...node, lazyConnect: true })
  afterAll(() => client.disconnect())

  const sent = [
    ...new Set(
      startingWith('redis-cli ').map((line) =>
        line.replace(/^-h \S+ -p \d+ (-x )?/, '').replace(/^--memkeys$/, ''),
      ),
    ),
  ].filter((line) => line !== '')

  it.each(sent)('%s', async (line) => {
    const [name = '', sub = ''] = words(line).map((word) => word.toLowerCase())
    const container = ['acl', 'slowlog', 'config', 'cluster', 'client'].includes(name)
    const [known] = (await client.call('COMMAND', 'INFO', container ? `${name}|${sub}` : name)) as unknown[]
    expect(known).not.toBeNull()
  })

  it('CONFIG SET of settings that there are', async () => {
    const settings = sent.flatMap((line) => /^CONFIG (?:SET|GET) (\S+)/.exec(line)?.[1] ?? [])
    expect(settings.length).toBeGreaterThan(4)
    for (const name of settings) expect(await client.call('CONFIG', 'GET', name), name).toHaveLength(2)
  })
})

/** Also those with commands beneath them: `backup` does something by itself, and has `backup verify` besides. */
function everyCommand(command: Command): Command[] {
  return [command, ...command.commands.flatMap(everyCommand)]
}
