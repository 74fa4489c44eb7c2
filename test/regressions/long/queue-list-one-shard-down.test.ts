import { describe, expect, test } from 'vitest'
import { TaskQueue } from '../../../src/index.js'
import { shardq } from '../../helpers/cli.js'
import { ownCluster } from '../../helpers/own-cluster.js'
import { until } from '../../helpers/until.js'

const NAMES = ['q-one', 'q-two', 'q-three', 'q-four', 'q-five', 'q-six']
/** 6 queues of 20 tasks each on 3 shards. */
const ALL = 120

interface Listed {
  readonly queues: readonly { name: string; ready: { medium: number }; silent: number }[]
  readonly error: string | null
  readonly silent: readonly string[]
  readonly unread: readonly string[]
}

const readyIn = ({ queues }: Listed) => queues.reduce((sum, { ready }) => sum + ready.medium, 0)

async function filled(replicasPerMaster: number) {
  const cluster = await ownCluster({ replicasPerMaster, settings: { 'cluster-node-timeout': '60000' } })
  for (const name of NAMES) {
    const queue = new TaskQueue<{ t: number }>(name, {
      connection: cluster.connection,
      ...(replicasPerMaster === 0 ? { durability: 'async' as const } : {}),
    })
    await queue.connect()
    await queue.enqueueMany(Array.from({ length: 20 }, (_, data) => ({ type: 't' as const, data })))
    await queue.disconnect()
  }
  return cluster
}

describe.each([
  ['frozen, with replicas', 1, 'freezeNode'],
  ['killed, without replicas', 0, 'killNode'],
] as const)('one shard is down: %s', (_, replicas, strike) => {
  test('list and stats show the others’ figures and name it; every other command names it and ends', async () => {
    const cluster = await filled(replicas)
    const masters = cluster.nodes.filter(({ role }) => role === 'master')
    for (const [index, down] of masters.entries()) {
      await cluster[strike](down.port)
      const asked = masters[(index + 1) % 3]
      // By a healthy node alone, and by all nodes of the folder.
      for (const where of [
        ['--node', `127.0.0.1:${asked?.port}`],
        ['--data-dir', cluster.dataDir],
      ]) {
        for (const command of index === 0 ? ['list', 'stats'] : ['list']) {
          const started = performance.now()
          const { code, stdout, stderr } = await shardq(['queue', command, ...where, '--json'])
          expect({ command, where, code, stderr }).toEqual({ command, where, code: 1, stderr: '' })
          const found = JSON.parse(stdout) as Listed
          expect(found.silent).toEqual([`127.0.0.1:${down.port}`])
          expect(found.error).toContain(`127.0.0.1:${down.port}`)
          expect(found.error).not.toContain(`127.0.0.1:${asked?.port}`)
          const named = [...found.queues.map(({ name }) => name), ...found.unread]
          // Without a replica, the one master that has the list may be the one that is down.
          if (replicas > 0 || named.length > 0) expect(named.sort()).toEqual([...NAMES].sort())
          if (replicas > 0) {
            expect(readyIn(found)).toBeGreaterThan(0)
            expect(readyIn(found)).toBeLessThanOrEqual(ALL)
          }
          expect(performance.now() - started).toBeLessThan(15_000)
        }
        const text = await shardq(['queue', 'list', ...where, '--timeout-ms', '500'])
        expect(text.code).toBe(1)
        expect(text.stdout).toContain(`127.0.0.1:${down.port}`)
        expect(text.stdout).not.toContain('is it running')
      }
      if (index === 0) {
        const to = ['q-one', '--node', `127.0.0.1:${asked?.port}`, '--timeout-ms', '500']
        const commands = ['peek', 'pause', 'dead list', 'dead retry --all', 'dead purge --yes']
        const results = await Promise.all(
          commands.map(async (command) => ({
            command,
            ...(await shardq(['queue', ...command.split(' '), ...to])),
          })),
        )
        for (const { command, code, stderr } of results) {
          expect({ command, code, stderr }).toMatchObject({
            code: 1,
            stderr: expect.stringContaining(`127.0.0.1:${down.port}`),
          })
          expect(stderr).not.toMatch(/^\s+at /m)
        }
      }
      await (strike === 'freezeNode' ? cluster.resumeNode(down.port) : cluster.restartNode(down.port))
      const node = ['--node', `127.0.0.1:${down.port}`]
      await until(
        'all is there again',
        async () => (await shardq(['queue', 'list', ...node, '--json'])).code,
        (code) => code === 0,
      )
      await shardq(['queue', 'resume', 'q-one', ...node])
    }
  }, 120_000)
})
