import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { checkCluster } from '../../src/check/index.js'
import {
  applyUsers,
  compareUsers,
  type LocalCluster,
  OperationInProgressError,
  PlanChangedError,
  planUsers,
  withOperation,
} from '../../src/cluster/index.js'
import { nameOf, withLink } from '../../src/cluster/link.js'
import { disableDefault } from '../../src/cluster/users/default-user.js'
import { withNodes } from '../../src/cluster/users/nodes.js'
import type { ConnectionOptions } from '../../src/connection/options.js'
import { NotPermittedError, TaskQueue, Worker } from '../../src/index.js'
import { QUEUES_KEY } from '../../src/keys/keys.js'
import { openQueue } from '../../src/queue/open-queue.js'
import { Surveyor } from '../../src/queue/surveyor.js'
import { ROLES, type RoleName } from '../../src/rights/roles.js'
import { eventually } from '../helpers/behaviour/harness.js'
import { watchCommands } from '../helpers/commands-by-user.js'
import { openCluster } from '../helpers/own-cluster.js'
import { ACCOUNTS, accessAs, connectAs, makeUsers, PASSWORDS, refusalsOn } from '../helpers/users.js'

let cluster: LocalCluster
let dispose: () => Promise<void>

beforeAll(async () => {
  const opened = await openCluster()
  cluster = opened.cluster
  dispose = opened.dispose
  await makeUsers(cluster.seeds)
})

afterAll(() => dispose())

const connectionOf = (user: string) => connectAs(user, cluster.seeds)

async function withQueue<T>(
  name: string,
  connection: ConnectionOptions,
  use: (queue: TaskQueue) => Promise<T>,
): Promise<T> {
  const queue = new TaskQueue(name, { connection })
  await queue.connect()
  try {
    return await use(queue)
  } finally {
    await queue.disconnect()
  }
}

/** What anybody may do who may open a queue, from masters and from replicas. */
async function lookAtAll(name: string, user: string): Promise<void> {
  const { nodes } = connectionOf(user)
  for (const readFrom of ['master', 'replica'] as const) {
    await withQueue(name, { mode: 'cluster', nodes, ...accessAs(user), readFrom }, async (queue) => {
      await queue.getTask('0.x')
      await queue.checkpoints('0.x')
      await queue.depth()
      await queue.peek()
      await queue.stats()
      expect(await queue.isPaused()).toBe(false)
      expect((await queue.health()).state).toBe('ok')
    })
  }
  await (await openQueue(name, { connection: connectionOf(user) })).disconnect()
}

const produce = (queue: TaskQueue) =>
  queue.enqueueMany([
    ...Array.from({ length: 40 }, (_, i) => ({ type: 'note', data: i })),
    { type: 'note', data: 'later', options: { delayMs: 50 } },
    { type: 'note', data: 'once', options: { idempotencyKey: 'k' } },
    { type: 'note', data: 'keyed', options: { partitionKey: 'p' } },
  ])

async function work(queue: TaskQueue): Promise<void> {
  const [first, second, third, fourth, ...others] = await queue.dequeue({ count: 43, blockMs: 2_000 })
  await first?.checkpoint('half', 1)
  await first?.complete()
  await second?.fail(new Error('no'), { retry: false })
  await third?.release()
  await fourth?.extend(60_000)
  await queue.checkpoint(fourth?.id ?? '', 'outside', 2)
  await Promise.all(others.map((delivery) => delivery.complete()))
}

describe('each role', () => {
  it('does its part with its own user, and uses every right that it has', async () => {
    const forgetScripts = () =>
      Promise.all(cluster.seeds.map((seed) => withLink(seed, {}, (link) => link.text('SCRIPT', 'FLUSH'))))
    const watch = await watchCommands(cluster.seeds)
    const sent = new Map<RoleName, Set<string>>()
    const as = async (role: RoleName, use: () => Promise<void>) => {
      await forgetScripts()
      const commands = await watch.during(use)
      sent.set(role, new Set([...(sent.get(role) ?? []), ...commands]))
    }
    const onQueue = (role: RoleName, use: (queue: TaskQueue) => Promise<unknown>) =>
      as(role, () => withQueue('apart', connectionOf(role), async (queue) => void (await use(queue))))
    await onQueue('producer', produce)
    await onQueue('worker', work)
    for (const role of ['producer', 'worker', 'manager'] as const)
      await as(role, () => lookAtAll('apart', role))
    await onQueue('manager', async (queue) => {
      await queue.pause()
      await queue.resume()
      const { items } = await queue.deadLetters.list()
      expect(items).toHaveLength(1)
      await queue.deadLetters.retry(items[0]?.id ?? '')
      await queue.deadLetters.purge()
    })
    await as('metrics', async () => {
      const surveyor = new Surveyor(connectionOf('metrics'))
      const survey = await surveyor.survey()
      surveyor.close()
      expect(survey.error).toBeUndefined()
      expect(survey.queues.map(({ name }) => name)).toContain('apart')
    })
    watch.close()
    // What health() can do without.
    expect(await refusalsOn(cluster.seeds)).toEqual(
      ['manager', 'producer', 'worker'].map((role) => `${role}: config|get`),
    )
    for (const [role, commands] of sent)
      expect({ role, idle: idleOf(role, commands) }).toEqual({ role, idle: [] })
  })
})

describe('a queue', () => {
  it('is deleted by an operator; a manager is refused before anything is changed', async () => {
    await withQueue('deleted', connectionOf('producer'), produce)
    await withQueue('deleted', connectionOf('manager'), async (queue) => {
      for (const force of [false, true])
        await expect(queue.delete({ force })).rejects.toBeInstanceOf(NotPermittedError)
    })
    await withQueue('deleted', connectionOf('worker'), async (queue) => {
      expect(await queue.dequeue({ count: 1, blockMs: 2_000 })).toHaveLength(1)
    })
    await withQueue('deleted', connectionOf('operator'), (queue) => queue.delete({ force: true }))
    const refused = await refusalsOn(cluster.seeds)
    expect(refused.filter((refusal) => refusal.startsWith('operator'))).toEqual([])
    for (const seed of cluster.seeds)
      await withLink(seed, {}, (link) =>
        eventually(async () => expect(await link.reply('KEYS', '*deleted*')).toEqual([])),
      )
  })
})

/** Seen in test/operations/users.test.ts: they take a single server, and a slot that is being moved. */
const ELSEWHERE = ['ping', 'asking', 'waitaof', 'cluster|info']

function idleOf(role: RoleName, sent: ReadonlySet<string>): string[] {
  const granted = ROLES[role].uses.flatMap(({ commands }) => Object.keys(commands))
  return [...new Set(granted)].filter((command) => !sent.has(command) && !ELSEWHERE.includes(command))
}

describe('it is refused that', () => {
  const refused = async (user: string, ...command: [string, ...string[]]) =>
    withLink(cluster.seeds[0] ?? { host: '', port: 0 }, accessAs(user), (link) => link.reply(...command))

  it.each(['producer', 'worker', 'manager', 'metrics', 'team'])(
    'a %s does what is not its part',
    async (user) => {
      const never: [string, ...string[]][] = [
        ...([['FLUSHALL'], ['KEYS', '*'], ['SCAN', '0'], ['SHUTDOWN', 'NOSAVE'], ['MONITOR']] as const),
        ...([
          ['CONFIG', 'GET', 'requirepass'],
          ['CONFIG', 'SET', 'maxmemory', '1'],
        ] as const),
        ...([
          ['ACL', 'LIST'],
          ['ACL', 'SETUSER', user, '+@all'],
          ['CLUSTER', 'RESET'],
        ] as const),
        ...([
          ['HGET', 'other', 'x'],
          ['DEL', QUEUES_KEY],
          ['SPUBLISH', 'other', 'x'],
        ] as const),
        ['EVAL', "return redis.call('HGET', 'other', 'x')", '0'],
        ['EVAL', "return redis.call('FLUSHALL')", '0'],
      ].map((command) => [...command] as [string, ...string[]])
      for (const command of never)
        await expect(refused(user, ...command), command.join(' ')).rejects.toThrow(NotPermittedError)
    },
  )

  it.each(['FLUSHALL', 'KEYS', 'MONITOR', 'MODULE'])('an operator runs %s', async (command) => {
    const args = { KEYS: ['*'], MODULE: ['LIST'] }[command] ?? []
    await expect(refused('operator', command, ...args)).rejects.toThrow(NotPermittedError)
  })

  it('a team touches the queue of another', async () => {
    await withQueue('team-queue', connectionOf('team'), async (queue) => {
      await queue.enqueue('note', 1)
      expect(await queue.dequeue({ blockMs: 2_000 })).toHaveLength(1)
    })
    await expect(withQueue('other', connectionOf('team'), async () => {})).rejects.toThrow(NotPermittedError)
  })
})

describe('a right that is missing is named, with the way out', () => {
  it('to whoever enqueues as a metrics user, works as a producer, or asks for settings', async () => {
    // To open a queue that is there takes no more than to look at it.
    const enqueueing = withQueue('apart', connectionOf('metrics'), (queue) => queue.enqueue('note', 1))
    await expect(enqueueing).rejects.toThrow(
      /does not permit its user to run '(evalsha|wait)'.*shardq cluster users apply/,
    )
    const worker = new Worker('apart', { note: () => null }, { connection: connectionOf('producer') })
    const errors: Error[] = []
    worker.on('error', (error) => errors.push(error))
    await worker.start()
    await eventually(() => expect(errors.some((error) => error instanceof NotPermittedError)).toBe(true))
    await worker.stop({ timeoutMs: 0 })
    expect(errors.map(({ message }) => message).join()).toContain("run 'ssubscribe'")
  })

  it('at once where it is WAIT: a replica that never confirms is another matter', async () => {
    const without = cluster.seeds.map((seed) =>
      withLink(seed, {}, (link) =>
        link.text('ACL', 'SETUSER', 'hasty', 'on', 'nopass', '~shardq:*', '&shardq:*', '+@all', '-wait'),
      ),
    )
    await Promise.all(without)
    const connection = { ...connectionOf('producer'), username: 'hasty', password: 'any' }
    await withQueue('apart', connection, async (queue) => {
      await expect(queue.enqueue('note', 1)).rejects.toThrow("run 'wait'")
      await expect(queue.resume()).rejects.toThrow("run 'wait'")
    })
    // Nor can it make one.
    await expect(withQueue('hasty', connection, async () => {})).rejects.toThrow("run 'wait'")
  })
})

describe('users that are not the same on all nodes', () => {
  const onNode = (index: number, ...rules: string[]) =>
    withLink(cluster.seeds[index] ?? { host: '', port: 0 }, {}, (link) => link.text('ACL', ...rules))

  it('are told apart, found by check, and mended without a password', async () => {
    await onNode(1, 'SETUSER', 'worker', '+keys')
    await onNode(2, 'DELUSER', 'metrics')
    await onNode(3, 'SETUSER', 'producer', '>another')
    const found = await compareUsers(cluster.seeds, { accounts: ACCOUNTS })
    expect(found.ok).toBe(false)
    const differs = new Map(found.users.map(({ user, differs }) => [user, differs]))
    const node = (index: number) => `127.0.0.1:${cluster.seeds[index]?.port}`
    expect(differs.get('worker')).toEqual([{ node: node(1), how: 'beyond it +keys' }])
    expect(differs.get('metrics')).toEqual([{ node: node(2), how: 'does not have it' }])
    expect(differs.get('producer')).toEqual([{ node: node(3), how: 'another password' }])
    const { findings } = await checkCluster(cluster.seeds, { settleMs: 0, ...accessAs('operator') })
    expect(new Set(findings.map(({ check }) => check))).toEqual(new Set(['users-differ']))

    // Two passwords: which is right, nobody can tell.
    await expect(applyUsers(cluster.seeds, { accounts: ACCOUNTS })).rejects.toThrow(
      'producer has more than one password',
    )
    await onNode(3, 'SETUSER', 'producer', 'resetpass', `>${PASSWORDS.get('producer')}`)
    const plan = await planUsers(cluster.seeds, { accounts: ACCOUNTS, ...accessAs('operator') })
    // Nodes come in the order of their ports, which is not that of the seeds.
    expect(plan.changes.filter(({ change }) => change !== 'none')).toHaveLength(2)
    expect(plan.changes).toContainEqual({
      ...{ node: node(1), user: 'worker', change: 'rules', password: 'same', switchedOn: false },
      ...{ missing: [], beyond: ['+keys'] },
    })
    expect(plan.changes).toContainEqual(
      expect.objectContaining({ node: node(2), user: 'metrics', change: 'new' }),
    )
    const report = await applyUsers(cluster.seeds, { accounts: ACCOUNTS, ...accessAs('operator') })
    expect(report.ok).toBe(true)
    expect(report.nodes.flatMap(({ changed }) => changed).sort()).toEqual(['metrics', 'worker'])
    expect((await compareUsers(cluster.seeds, { accounts: ACCOUNTS })).ok).toBe(true)
    expect(JSON.stringify([found, plan, report])).not.toMatch(/[0-9a-f]{64}|hush/)
  })

  it('are the same to check, in whatever order each process tells them', async () => {
    const { findings, notes } = await checkCluster(cluster.seeds, { settleMs: 0, ...accessAs('operator') })
    expect(findings).toEqual([])
    expect(notes.filter((note) => note.includes('does not let us'))).toEqual([])
  })

  it('are left alone where somebody else has changed them since the plan was shown, or changes them', async () => {
    const apply = { accounts: ACCOUNTS, ...accessAs('operator') }
    await onNode(1, 'SETUSER', 'worker', '+keys')
    const { changes: agreed } = await planUsers(cluster.seeds, apply)
    await onNode(2, 'SETUSER', 'metrics', '+keys')
    const refused = await applyUsers(cluster.seeds, { ...apply, agreed }).catch((error) => error)
    expect(refused).toBeInstanceOf(PlanChangedError)
    expect(refused.message).toContain(`user metrics on 127.0.0.1:${cluster.seeds[2]?.port}`)
    expect((await compareUsers(cluster.seeds, apply)).ok).toBe(false)
    const both = await withOperation(cluster.seeds, {}, { name: 'rebalance' }, undefined, () =>
      applyUsers(cluster.seeds, apply).catch((error) => error),
    )
    expect(both).toBeInstanceOf(OperationInProgressError)
    expect((await applyUsers(cluster.seeds, apply)).ok).toBe(true)
    expect((await compareUsers(cluster.seeds, apply)).ok).toBe(true)
  })

  it('do not hide that a user with few rights cannot tell', async () => {
    await expect(compareUsers(cluster.seeds, accessAs('metrics'))).rejects.toThrow("run 'acl|list'")
  })
})

it('who switches the default user off goes by the fence and the addresses of the operation', async () => {
  const options = { accounts: ACCOUNTS, passwords: PASSWORDS, disableDefault: true, failed: [] }
  const [seed] = cluster.seeds
  const elsewhere = Object.fromEntries(cluster.seeds.map((node) => [nameOf(node), { ...node, port: 1 }]))
  const shut = () => {
    throw new Error('the lock is lost')
  }
  await withNodes(cluster.seeds, {}, async (found) => {
    await expect(disableDefault(found, { ...options, mayCall: shut })).rejects.toThrow(
      /on still on \S+: the lock is lost/,
    )
    await expect(disableDefault(found, { ...options, natMap: elsewhere })).rejects.toThrow(
      /does not get in at \S+: no answer/,
    )
  })
  if (!seed) throw new Error('no node')
  expect(await withLink(seed, {}, (link) => link.text('ACL', 'LIST'))).toContain('user default on')
})
