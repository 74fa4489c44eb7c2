import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { nameOf } from '../../src/cluster/index.js'
import { shardq } from '../helpers/cli.js'
import { hostileNode } from '../helpers/hostile-node.js'
import { tempDir } from '../helpers/temp-dir.js'

const TITLE = '\u001b]0;OWNED\u001b\\'
const DRAWN = `${TITLE}\u001b[2J\u001b[1;1H\u001b[32mall-good\u001b[0m\u0007\r\u009b1A\u202e`
/** All that a terminal would carry out; line ends are ours. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROLS = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028-\u202e]/

const COMMANDS = [
  ['cluster', 'status'],
  ['cluster', 'check'],
  ['cluster', 'fix', '--dry-run'],
  ['cluster', 'rebalance', '--dry-run'],
  ['cluster', 'users', 'check'],
  ['queue', 'list'],
]

describe.each([
  ['the host of a node', { host: DRAWN }],
  ['an error', { error: `ERR ${DRAWN}` }],
  ['an id', { id: DRAWN.replaceAll(' ', '') }],
])('%s that is meant for the terminal', (_, hostile) => {
  it.each(COMMANDS)('is not carried out by shardq %s %s', async (...args) => {
    const node = nameOf(await hostileNode(hostile))
    const env = { SHARDQ_REDIS_NODES: node }
    for (const json of [[], ['--json']]) {
      const { stdout, stderr } = await shardq([...args, ...json], { env })
      expect(stdout + stderr).not.toBe('')
      expect(CONTROLS.exec(stdout)).toBeNull()
      expect(CONTROLS.exec(stderr)).toBeNull()
    }
  })
})

it('an id that is meant for the shell of --restart-command is refused', async () => {
  const dir = await tempDir()
  const file = join(dir, 'PWNED')
  const node = nameOf(await hostileNode({ id: `$(touch\${IFS}${file})` }))
  const args = ['cluster', 'rolling-restart', '--node', node, '--yes', '--restart-command', 'echo {id}']
  const { code, stderr } = await shardq(args)
  expect(code).toBe(1)
  expect(stderr).toContain('tells of a node that cannot be')
  expect(existsSync(file)).toBe(false)
})

it.each(['-oProxyCommand=x', 'a;reboot', 'a b', '$(x)', "a'b"])(
  'a host that is an option or a command, %s, is refused',
  async (host) => {
    const node = nameOf(await hostileNode({ host }))
    const { stdout, stderr } = await shardq(['cluster', 'status', '--node', node])
    expect(stdout + stderr).toMatch(/cannot be|not answer/)
  },
)

it('an error of a server is told with the name of the node and of the command, and without a stack', async () => {
  const node = nameOf(await hostileNode({ error: "OOM command not allowed when used memory > 'maxmemory'." }))
  const { code, stderr } = await shardq(['cluster', 'rebalance', '--dry-run', '--node', node])
  expect(code).toBe(1)
  expect(stderr).toMatch(new RegExp(`^✗ ${node} does not carry out [A-Z_]+: OOM command not allowed`))
  expect(stderr).not.toContain(' at ')
})
