import { expect, it } from 'vitest'
import { NodeLink, withLink } from '../../../src/cluster/link.js'
import { parseClusterNodes } from '../../../src/cluster/replies.js'
import { shardq } from '../../helpers/cli.js'
import { ownCluster } from '../../helpers/own-cluster.js'
import { until } from '../../helpers/until.js'

/** What the advice says, typed: with redis-cli as the test's own connection. */
async function typed(command: string): Promise<void> {
  const [, port, words] = /^redis-cli -h 127\.0\.0\.1 -p (\d+) (.*)$/.exec(command) ?? []
  if (words === undefined) {
    const done = await shardq(command.replace(/^shardq /, '').split(' '))
    expect({ command, ...done }).toMatchObject({ code: 0 })
    return
  }
  const [name = '', ...args] = words.split(' ')
  const node = { host: '127.0.0.1', port: Number(port) }
  expect(await withLink(node, {}, (link) => link.text(name, ...args))).toBe('OK')
}

it('a master that was reset: what is advised brings its slots back, and then itself', async () => {
  const cluster = await ownCluster()
  const { dataDir, seeds } = cluster
  const [first, second] = seeds
  if (!first || !second) throw new Error('no nodes')
  const reset = await NodeLink.open(first)
  await reset.text('FLUSHALL')
  await reset.text('CLUSTER', 'RESET', 'HARD')
  reset.close()
  const view = async () =>
    parseClusterNodes(await withLink(second, {}, (link) => link.text('CLUSTER', 'NODES')), '127.0.0.1')
  await until('it is nowhere', view, (nodes) => nodes.some(({ flags }) => flags.includes('noaddr')))

  const check = async () => {
    const { stdout } = await shardq(['cluster', 'check', '--data-dir', dataDir, '--json'])
    return JSON.parse(stdout).findings as { check: string; severity: string; mend: string[] }[]
  }
  const found = await check()
  const advice = found.flatMap(({ mend }) => mend)
  expect(advice.filter((command) => /FORGET|forget/.test(command))).toEqual([])
  expect(advice.filter((command) => command.startsWith('shardq cluster up'))).toEqual([])
  const [takeOver = ''] = found.find(({ check }) => check === 'node-failed')?.mend ?? []
  expect(takeOver).toMatch(/CLUSTER FAILOVER FORCE$/)
  expect(found.find(({ check }) => check === 'node-left-out')?.mend).toContain(takeOver)
  const fix = await shardq(['cluster', 'fix', '--data-dir', dataDir, '--dry-run', '--wait-ms', '0'])
  expect(fix.stdout).toContain(takeOver)

  await typed(takeOver)
  await until('its replica has taken over', view, (nodes) =>
    nodes.every(({ flags, slots }) => !flags.includes('noaddr') || slots.length === 0),
  )
  const next = await check()
  expect(next.map(({ check }) => check)).not.toContain('node-failed')
  // Both ways to say where it belongs; the address of the data folder's own node, which was reset, first.
  const [add] = next.find(({ check }) => check === 'node-left-out')?.mend ?? []
  const wanted = new RegExp(
    `^shardq cluster add-node 127\\.0\\.0\\.1:${first.port} --node 127\\.0\\.0\\.1:\\d+ --replica-of auto$`,
  )
  expect(add).toMatch(wanted)
  const added = await shardq([
    ...['cluster', 'add-node', `127.0.0.1:${first.port}`, '--data-dir', dataDir, '--replica-of', 'auto'],
  ])
  expect(added).toMatchObject({ code: 0, stderr: '' })
  const last = await check()
  for (const command of last.find(({ check }) => check === 'handshake-pending')?.mend ?? [])
    await typed(`${command} --data-dir ${dataDir} --yes`)
  expect(await check()).toEqual([])
  await typed(`shardq cluster up --data-dir ${dataDir}`)
}, 60_000)
