import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { nameOf } from '../../../src/cluster/index.js'
import { shardq } from '../../helpers/cli.js'
import { hostileNode } from '../../helpers/hostile-node.js'
import { tempDir } from '../../helpers/temp-dir.js'

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
