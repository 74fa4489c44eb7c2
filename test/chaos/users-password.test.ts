import { spawn } from 'node:child_process'
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import {
  type Account,
  account,
  applyUsers,
  ensureServer,
  freePorts,
  type LocalCluster,
  planUsers,
  type UsersReport,
} from '../../src/cluster/index.js'
import { NodeLink, withLink } from '../../src/cluster/link.js'
import { OPERATION_KEY } from '../../src/cluster/own-keys.js'
import { AuthenticationError } from '../../src/errors.js'
import { openCluster, ownCluster } from '../helpers/own-cluster.js'
import { tempDir } from '../helpers/temp-dir.js'
import { until } from '../helpers/until.js'

/** `admin` is who logs in to change these passwords, their own among them; `rep` is whom nodes log in to each other as. */
const ACCOUNTS: readonly Account[] = [account('admin', ['operator']), account('rep', ['replica'])]
const passwordsOf = (age: 'old' | 'new') =>
  new Map<string, string>(ACCOUNTS.map(({ name }) => [name, `hush-${age}-${name}`]))
const OLD = passwordsOf('old')
const NEW = passwordsOf('new')
type Passwords = typeof OLD

let cluster: LocalCluster
let dispose: () => Promise<void>
beforeAll(async () => {
  const opened = await openCluster({ replicasPerMaster: 0 })
  cluster = opened.cluster
  dispose = opened.dispose
})
afterAll(() => dispose())

const { reply } = NodeLink.prototype
afterEach(() => {
  NodeLink.prototype.reply = reply
})

const WRITE = /^(ACL SETUSER|ACL SAVE|CONFIG SET|CONFIG REWRITE)/

/**
 * So many writes arrive, and after them no call at all, as of a process that was killed. But for those of the lock, which would be held until
 * it runs out. @returns the writes that arrived
 */
function breakOffAfter(writes: number): string[] {
  const arrived: string[] = []
  let over = false
  NodeLink.prototype.reply = async function (this: NodeLink, command, ...args) {
    const call = [command, ...args].join(' ')
    const isWrite = WRITE.test(call)
    over ||= isWrite && arrived.length === writes
    if (over && !args.includes(OPERATION_KEY)) throw new Error('killed')
    if (isWrite) arrived.push(call)
    return reply.call(this, command, ...args)
  }
  return arrived
}

/** As before the change: the old passwords alone, on every node. */
async function giveOld(of: LocalCluster): Promise<void> {
  NodeLink.prototype.reply = reply
  await Promise.all(
    of.seeds.map((seed) =>
      withLink(seed, {}, async (link) => {
        for (const [name, password] of OLD)
          await link.text('ACL', 'SETUSER', name, 'resetpass', `>${password}`)
        await link.text('CONFIG', 'SET', 'masteruser', 'rep', 'masterauth', String(OLD.get('rep')))
      }),
    ),
  )
}

const change = (of: LocalCluster, logIn: Passwords, to: Passwords = NEW): Promise<UsersReport> =>
  applyUsers(of.seeds, {
    ...{ username: 'admin', password: String(logIn.get('admin')) },
    ...{ accounts: ACCOUNTS, passwords: to },
  })

/** By user: on how many of the nodes it gets in with that. */
const takenOn = (of: Pick<LocalCluster, 'seeds'>, passwords: Passwords): Promise<number[]> =>
  Promise.all(
    [...passwords].map(async ([username, password]) => {
      const tries = of.seeds.map((seed) =>
        NodeLink.open(seed, { username, password }).then(
          (link) => Number(link.close() ?? 1),
          (error) => {
            if (!(error instanceof AuthenticationError)) throw error
            return 0
          },
        ),
      )
      return (await Promise.all(tries)).reduce((sum, each) => sum + each, 0)
    }),
  )

describe('a change of passwords, that of the user who makes it among them', () => {
  it('broken off before each of its writes, leaves nobody out, and is finished with either password', async () => {
    await applyUsers(cluster.seeds, { accounts: ACCOUNTS, passwords: OLD })
    const all = breakOffAfter(Number.POSITIVE_INFINITY)
    expect(await change(cluster, OLD)).toMatchObject({ ok: true, earlier: [] })
    expect([await takenOn(cluster, OLD), await takenOn(cluster, NEW)]).toEqual([
      [0, 0],
      [3, 3],
    ])
    const reached = new Set<string>()
    for (const logIn of [OLD, NEW])
      for (let writes = 0; writes < all.length; writes++) {
        const at = `${writes} of ${all.length} writes, then on with the ${logIn === OLD ? 'old' : 'new'} one`
        await giveOld(cluster)
        breakOffAfter(writes)
        await change(cluster, OLD).catch((error) => error)
        NodeLink.prototype.reply = reply
        const [old, fresh] = [await takenOn(cluster, OLD), await takenOn(cluster, NEW)]
        for (const i of old.keys()) expect([old[i], fresh[i]], at).toContain(3)
        reached.add([old, fresh].join())

        // Where a node has not got the new one yet, nobody gets in with that alone, and is told what to do.
        const isReady = fresh[0] === 3
        if (logIn === NEW && !isReady) {
          const refused = await change(cluster, NEW).then(
            ({ ok, nodes }) => ({ ok, why: nodes.map(({ error }) => error ?? '').join() }),
            (error: Error) => ({ ok: false, why: error.message }),
          )
          expect(refused.ok, at).toBe(false)
          expect(refused.why, at).toContain('log in with that (SHARDQ_REDIS_PASSWORD)')
          expect((await takenOn(cluster, OLD))[0], at).toBe(3)
        }
        const report = await change(cluster, isReady ? logIn : OLD)
        expect(report, at).toMatchObject({ ok: true, earlier: [] })
        expect([await takenOn(cluster, OLD), await takenOn(cluster, NEW)], at).toEqual([
          [0, 0],
          [3, 3],
        ])
        for (const seed of cluster.seeds)
          expect(await withLink(seed, {}, (link) => link.reply('CONFIG', 'GET', 'masterauth')), at).toEqual([
            'masterauth',
            NEW.get('rep'),
          ])
      }
    // Old alone; both on some; both on all; new alone on some.
    expect(reached).toContain('3,3,0,0')
    expect(reached).toContain('3,3,3,3')
    expect([...reached].some((each) => /^[12],/.test(each))).toBe(true)
  }, 120_000)

  it('can be taken back, with either password', async () => {
    for (const logIn of [OLD, NEW]) {
      await giveOld(cluster)
      const writes = breakOffAfter(Number.POSITIVE_INFINITY)
      await change(cluster, OLD)
      const ends = writes.findIndex((each) => each.includes(' !'))
      await giveOld(cluster)
      breakOffAfter(ends + (logIn === OLD ? 0 : 1))
      await change(cluster, OLD)
      NodeLink.prototype.reply = reply
      expect(await change(cluster, logIn, OLD)).toMatchObject({ ok: true })
      expect([await takenOn(cluster, OLD), await takenOn(cluster, NEW)]).toEqual([
        [3, 3],
        [0, 0],
      ])
    }
  })

  it('shows both where the rights of a user change with its password, and what is left of one that was broken off', async () => {
    await giveOld(cluster)
    const [seed] = cluster.seeds
    if (!seed) throw new Error('no node')
    await withLink(seed, {}, (link) => link.text('ACL', 'SETUSER', 'admin', '+keys'))
    await withLink(seed, {}, (link) => link.text('ACL', 'SETUSER', 'rep', `>${NEW.get('rep')}`, 'off'))
    const plan = await planUsers(cluster.seeds, { accounts: ACCOUNTS, passwords: NEW })
    const here = plan.changes.filter(({ node }) => node === `${seed.host}:${seed.port}`)
    expect(here).toMatchObject([
      { user: 'admin', change: 'rules', password: 'changes', switchedOn: false, beyond: ['+keys'] },
      { user: 'rep', change: 'password', password: 'earlier-ends', switchedOn: true },
    ])
    expect(JSON.stringify(plan)).not.toMatch(/[0-9a-f]{64}|hush/)
  })

  it('ends no password of a user that was added while it ran', async () => {
    await giveOld(cluster)
    let added = false
    NodeLink.prototype.reply = async function (this: NodeLink, command, ...args) {
      if (!added && args.some((arg) => String(arg).startsWith('!'))) {
        added = true
        for (const seed of cluster.seeds)
          await withLink(seed, {}, (link) => link.text('ACL', 'SETUSER', 'admin', '>hush-third'))
      }
      return reply.call(this, command, ...args)
    }
    const report = await change(cluster, OLD)
    NodeLink.prototype.reply = reply
    expect(added).toBe(true)
    expect(report.ok).toBe(false)
    expect(await takenOn(cluster, new Map([['admin', 'hush-third']]))).toEqual([3])
    expect(await takenOn(cluster, NEW)).toEqual([3, 3])
    expect(await change(cluster, NEW)).toMatchObject({ ok: true })
    expect(await takenOn(cluster, new Map([['admin', 'hush-third']]))).toEqual([0])
  })

  it('switches a user on with the new password alone, since nobody was in by the old one', async () => {
    await giveOld(cluster)
    for (const seed of cluster.seeds)
      await withLink(seed, {}, (link) => link.text('ACL', 'SETUSER', 'rep', 'off'))
    const writes = breakOffAfter(Number.POSITIVE_INFINITY)
    await change(cluster, OLD)
    expect(writes.find((each) => each.includes('SETUSER rep on'))).toContain('resetpass')
  })
})

it('a node that is down while it runs: the old password stays valid, replicas too go on, and the next run ends it', async () => {
  const own = await ownCluster()
  const link = (seed: LocalCluster['seeds'][number]) =>
    withLink(seed, {}, (each) => each.text('INFO', 'replication'))
  await applyUsers(own.seeds, { accounts: ACCOUNTS, passwords: OLD })
  const down = own.nodes.find(({ role }) => role === 'replica')?.port ?? 0
  await own.freezeNode(down)
  const held = await change(own, OLD)
  await own.resumeNode(down)
  expect(held).toMatchObject({ ok: false, earlier: ['admin', 'rep'] })
  expect(await takenOn(own, OLD)).toEqual([6, 6])
  expect(await takenOn(own, NEW)).toEqual([5, 5])

  // All links between nodes are made anew, as after a break: with whichever password each of them has by now.
  const linked = async () => {
    for (const seed of own.seeds)
      await withLink(seed, {}, (each) => each.text('CLIENT', 'KILL', 'TYPE', 'replica'))
    await until(
      'every replica is linked',
      async () =>
        (await Promise.all(own.seeds.map(link))).filter((info) => info.includes('master_link_status:up')),
      (up) => up.length === 3,
    )
  }
  await linked()
  expect(await change(own, OLD)).toMatchObject({ ok: true, earlier: [] })
  await linked()
  expect([await takenOn(own, OLD), await takenOn(own, NEW)]).toEqual([
    [0, 0],
    [6, 6],
  ])

  // A restart loses none of it, nor brings the old one back.
  await own.killNode(down, 'SIGTERM')
  await own.restartNode(down)
  expect([await takenOn(own, OLD), await takenOn(own, NEW)]).toEqual([
    [0, 0],
    [6, 6],
  ])
})

it('a server that keeps nothing, for it has no configuration file: the old password is ended there, and it says so', async () => {
  const [port = 0] = await freePorts(1)
  const { path } = await ensureServer()
  const server = spawn(path, [
    '--port',
    String(port),
    '--bind',
    '127.0.0.1',
    '--save',
    '',
    '--dir',
    await tempDir(),
  ])
  onTestFinished(() => void server.kill('SIGKILL'))
  const seed = { host: '127.0.0.1', port }
  const get = async (passwords: Passwords, access = {}) =>
    applyUsers([seed], { ...access, accounts: ACCOUNTS, passwords })
  await until(
    'it answers',
    () => withLink(seed, {}, (link) => link.text('PING')).catch(String),
    (pong) => pong === 'PONG',
  )
  await get(OLD)
  const report = await get(NEW, { username: 'admin', password: OLD.get('admin') })
  expect(report).toMatchObject({
    ok: false,
    earlier: [],
    nodes: [{ persisted: null, changed: ['admin', 'rep'] }],
  })
  expect(report.nodes[0]?.error).toContain('a restart would lose them')
  expect(await takenOn({ seeds: [seed] }, OLD)).toEqual([0, 0])
  expect(await takenOn({ seeds: [seed] }, NEW)).toEqual([1, 1])
})
