import { join } from 'node:path'
import { expect, test } from 'vitest'
import { NodeLink } from '../../../src/cluster/link.js'
import { bareServers } from '../../helpers/bare-servers.js'
import { shardq } from '../../helpers/cli.js'
import { tempDir } from '../../helpers/temp-dir.js'

test('a node that takes no more clients: every command says so in the server’s words, with a way out', async () => {
  const [node] = await bareServers(1)
  if (!node) throw new Error('no server')
  const admin = await NodeLink.open(node)
  await admin.text('CONFIG', 'SET', 'maxclients', 1)
  const name = `${node.host}:${node.port}`
  const commands = [
    ['cluster', 'status'],
    ['cluster', 'fix', '--dry-run'],
    ['cluster', 'backup', '--to', join(await tempDir(), 'backup')],
    ['cluster', 'rebalance', '--dry-run'],
    ['queue', 'list', '--timeout-ms', '300'],
  ]
  const results = await Promise.all(
    commands.map(async (command) => ({ command, ...(await shardq([...command, '--node', name])) })),
  )
  for (const { command, code, stdout, stderr } of results) {
    expect({ command, code, stdout, stderr }).toMatchObject({ command, code: 1, stdout: '' })
    expect(stderr).toContain(`${name} (ERR max number of clients`)
    // redis-cli would be turned away as well.
    expect(stderr).toContain(`ss -tnp 'sport = :${node.port} or dport = :${node.port}'`)
    expect(stderr).not.toContain('is it running')
    expect(stderr).not.toMatch(/^\s+at /m)
  }
  const json = await shardq(['cluster', 'status', '--node', name, '--json'])
  expect(JSON.parse(json.stdout).error).toMatchObject({ name: 'NodeFullError', node: name })
  admin.close()
})
