import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import {
  account,
  applyUsers,
  type LocalCluster,
  planUsers,
  type UsersOptions,
} from '../../src/cluster/index.js'
import { tell } from '../helpers/nodes.js'
import { openCluster } from '../helpers/own-cluster.js'

/**
 * A user of the name that we log in as was given another role: with the default user off, the operator had lost their rights on every node,
 * and nobody was left who could give them back.
 */
let cluster: LocalCluster
let dispose: () => Promise<void>
beforeAll(async () => {
  ;({ cluster, dispose } = await openCluster({ replicasPerMaster: 0 }))
})
afterAll(() => dispose?.())

const OPERATOR = { username: 'operator', password: 'hush-operator' }

beforeEach(async () => {
  const accounts = [account('operator', ['operator'])]
  const { ok } = await applyUsers(cluster.seeds, {
    accounts,
    passwords: new Map([['operator', OPERATOR.password]]),
  })
  expect(ok).toBe(true)
})

const users = async () =>
  (await Promise.all(cluster.seeds.map(({ port }) => tell(port, 'ACL', 'LIST')))).map((each) =>
    each.split(/,(?=user )/).sort(),
  )

/** What both the plan and the operation end in. */
async function refused(options: UsersOptions): Promise<string> {
  const before = await users()
  const errors: Error[] = []
  for (const use of [applyUsers, planUsers])
    errors.push(
      await use(cluster.seeds, options).then(
        () => new Error('done'),
        (error) => error,
      ),
    )
  for (const error of errors) expect(error).toMatchObject({ name: 'LockOutError' })
  expect(await users()).toEqual(before)
  return errors.map(({ message }) => message).join('\n')
}

it.each([
  ['another role', [account('operator', ['producer'])]],
  ['several roles, none of which may', [account('operator', ['worker', 'manager', 'metrics', 'replica'])]],
  ['first the one and then another', [account('operator', ['operator']), account('operator', ['producer'])]],
])('nobody takes from themselves what undoes it: %s', async (_, accounts) => {
  const message = await refused({ ...OPERATOR, accounts })
  expect(message).toContain('acl|setuser')
  expect(message).toContain('SHARDQ_REDIS_USERNAME')
  expect(message).not.toContain('hush')
})

it('another operator who is made in the same call is no way back before they have got in', async () => {
  const accounts = [account('operator', ['producer']), account('heir', ['operator'])]
  const passwords = new Map([['heir', 'hush-heir']])
  expect(await refused({ ...OPERATOR, accounts, passwords })).toContain('heir')
  // In two calls it is done.
  expect(
    await applyUsers(cluster.seeds, { ...OPERATOR, accounts: accounts.slice(1), passwords }),
  ).toMatchObject({ ok: true })
  expect(
    await applyUsers(cluster.seeds, {
      username: 'heir',
      password: 'hush-heir',
      accounts: accounts.slice(0, 1),
    }),
  ).toMatchObject({ ok: true })
  expect((await users()).flat().filter((each) => /^user operator .*\+acl\|setuser/.test(each))).toEqual([])
})

it('whom nodes log in to each other as keeps what that takes', async () => {
  const passwords = new Map([['rep', 'hush-rep']])
  const roles = (...names: Parameters<typeof account>[1]) => ({
    ...OPERATOR,
    accounts: [account('rep', names)],
    passwords,
  })
  expect(await applyUsers(cluster.seeds, roles('replica'))).toMatchObject({ ok: true })
  const message = await refused(roles('producer'))
  expect(message).toContain('+psync')
  expect(message).toContain('--user rep=producer,replica')
  expect(await applyUsers(cluster.seeds, roles('producer', 'replica'))).toMatchObject({ ok: true })
})

it('who keeps what is needed may lose the rest', async () => {
  for (const { port } of cluster.seeds) await tell(port, 'ACL', 'SETUSER', 'operator', '+@all', '-flushall')
  expect(
    await applyUsers(cluster.seeds, {
      ...OPERATOR,
      accounts: [account('operator', ['operator', 'producer'])],
    }),
  ).toMatchObject({ ok: true })
})

it('a node that does not let us change users ends it: the nodes after it stay as they are', async () => {
  const { nodes } = await planUsers(cluster.seeds, {
    accounts: [account('team', ['producer'])],
    passwords: new Map([['team', 'hush-team']]),
  }).then(({ changes }) => ({ nodes: changes.map(({ node }) => node) }))
  const second = Number(nodes[1]?.split(':')[1])
  await tell(second, 'ACL', 'SETUSER', 'operator', '-acl|setuser')
  const report = await applyUsers(cluster.seeds, {
    ...OPERATOR,
    accounts: [account('team', ['producer'])],
    passwords: new Map([['team', 'hush-team']]),
  })
  expect(report).toMatchObject({
    ok: false,
    nodes: [
      { node: nodes[0], changed: ['team'], persisted: 'config', error: null },
      { node: nodes[1], changed: [], error: expect.stringContaining('acl|setuser') },
      { node: nodes[2], changed: [], error: expect.stringContaining(`${nodes[1]} refuses`) },
    ],
  })
})
