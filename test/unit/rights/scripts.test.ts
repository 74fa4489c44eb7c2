import { readdirSync } from 'node:fs'
import { expect, it } from 'vitest'
import { SCRIPTS, type ScriptName } from '../../../src/rights/scripts.js'
import { loadScript } from '../../../src/scripts/script.js'

const NAMES = readdirSync(new URL('../../../src/scripts', import.meta.url))
  .filter((file) => file.endsWith('.lua'))
  .map((file) => file.slice(0, -'.lua'.length))

it.each(NAMES)('%s calls what the rights say it calls, and nothing else', (name) => {
  expect(SCRIPTS[name as ScriptName]?.split(' ')).toEqual([...commandsIn(loadScript(name).source)].sort())
})

it('has no rights for scripts that are not there', () => {
  expect(Object.keys(SCRIPTS).sort()).toEqual([...NAMES].sort())
})

it.each([
  ["redis.pcall('SET', KEYS[1], 1)", ['set']],
  ["-- redis.call('FLUSHALL')\nredis.call('GET', 'x')", ['get']],
  ["local function unused()\n  redis.call('DEL', 'x')\nend\nredis.call('GET', 'x')", ['get']],
  ["local function used()\n  redis.call('DEL', 'x')\nend\nused()", ['del']],
  ["redis.call('PUBSUB', 'SHARDNUMSUB', 'x')", ['pubsub|shardnumsub']],
])('%j calls %j', (source, commands) => {
  expect([...commandsIn(source)]).toEqual(commands)
})

it('a command that cannot be told by reading is an error', () => {
  expect(() => commandsIn("redis.call(ARGV[1], 'x')")).toThrow('ARGV[1]')
})

/** Containers, of whose subcommands each has a right of its own. */
const CONTAINERS = ['PUBSUB', 'CLUSTER', 'CONFIG', 'CLIENT', 'ACL']

/** Commands of the parts of a script that can be reached: a shared part brings functions that not every script calls. */
function commandsIn(source: string): Set<string> {
  const functions = new Map<string, string>()
  const main = source
    .replaceAll(/--.*/g, '')
    .replaceAll(/^local function (\w+)\(.*\)\n([\s\S]*?)^end$/gm, (_, name, body) => {
      functions.set(name, body)
      return ''
    })
  const found = new Set<string>()
  const visited = new Set<string>()
  const visit = (text: string) => {
    for (const [, first = '', second] of text.matchAll(/redis\.p?call\(\s*([^,)]+)(?:,\s*'([A-Z]+)')?/g))
      for (const command of commandsOf(first, source))
        found.add((CONTAINERS.includes(command) ? `${command}|${second}` : command).toLowerCase())
    for (const [name, body] of functions) {
      if (visited.has(name) || !new RegExp(`\\b${name}\\(`).test(text)) continue
      visited.add(name)
      visit(body)
    }
  }
  visit(main)
  return found
}

/** `push` is what the function (shared/ready.lua) is given for it, wherever it is called. */
function commandsOf(first: string, source: string): string[] {
  if (/^'[A-Z]+'$/.test(first)) return [first.slice(1, -1)]
  const given = [...source.matchAll(/\bmakeReady\('([A-Z]+)'/g)].map(([, command = '']) => command)
  if (first !== 'push' || given.length === 0) throw new Error(`cannot tell what ${first} is`)
  return given
}
