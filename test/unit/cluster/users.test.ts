import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import {
  account,
  keepPasswords,
  parseAccount,
  readPasswords,
  setuserArgs,
  variableOf,
} from '../../../src/cluster/index.js'
import { hashOf } from '../../../src/cluster/users/account.js'
import { changeOf, deedsOf, hashesOf } from '../../../src/cluster/users/plan.js'
import { differenceOf, isSameUser, parseUsers } from '../../../src/cluster/users/stored.js'
import { InvalidOptionError } from '../../../src/errors.js'

const user = (line: string) => [...parseUsers([line]).values()][0]

describe('a user, as a node tells it', () => {
  it('is the same in another order, in selectors too, and with what is so anyway', () => {
    const one = 'user p on #a ~x:* resetchannels -@all +get +set (~y resetchannels -@all +sadd +srem)'
    const other =
      'user p on sanitize-payload #a ~x:* resetchannels -@all +set +get (~y resetchannels -@all +srem +sadd)'
    expect(isSameUser(user(one), user(other))).toBe(true)
  })

  it.each([
    'user p off #a ~x:* resetchannels -@all +get',
    'user p on #b ~x:* resetchannels -@all +get',
    'user p on nopass ~x:* resetchannels -@all +get',
    'user p on #a ~y:* resetchannels -@all +get',
    'user p on #a ~x:* resetchannels -@all +set',
    'user p on #a ~x:* resetchannels -@all +get (~y resetchannels -@all +sadd)',
  ])('is another one: %s', (line) => {
    expect(isSameUser(user('user p on #a ~x:* resetchannels -@all +get'), user(line))).toBe(false)
  })

  it('differs from what is wanted by what it lacks and what it has beyond it', () => {
    const found = user('user p on #a ~x:* resetchannels -@all +get +keys') ?? { rules: new Set<string>() }
    expect(differenceOf(found, new Set(['~x:*', '+get', '+set']))).toEqual({
      missing: ['+set'],
      beyond: ['+keys'],
    })
  })
})

describe('an account', () => {
  it('is a name with roles, or a role alone', () => {
    expect(parseAccount('team-a=producer,worker', ['a'])).toMatchObject({
      name: 'team-a',
      roles: ['producer', 'worker'],
      queues: ['a'],
    })
    expect(parseAccount('metrics')).toMatchObject({ name: 'metrics', roles: ['metrics'] })
  })

  it.each(['team-a', 'team-a=boss', 'team-a=', 'a b=worker', 'default=operator', '=worker'])(
    '%j is refused',
    (text) => {
      expect(() => parseAccount(text)).toThrow(InvalidOptionError)
    },
  )

  it('is refused for a queue that an access list cannot name', () => {
    expect(() => account('p', ['producer'], ['my queue'])).toThrow('my queue')
  })

  it('is sent with the hash of its password, which replaces all that it had', () => {
    const args = setuserArgs(account('p', ['replica']), '7.0', hashOf('hush'))
    expect(args).toEqual([
      ...['p', 'on', 'resetpass', `#${hashOf('hush')}`, 'resetkeys', 'resetchannels', 'clearselectors'],
      ...['-@all', '+ping', '+psync', '+replconf'],
    ])
    expect(args.join()).not.toContain('hush')
  })
})

describe('passwords', () => {
  const accounts = [account('p', ['producer']), account('team-a.b', ['worker'])]
  const folder = async () => {
    const dir = await mkdtemp(join(tmpdir(), 'shardq-users-'))
    onTestFinished(() => rm(dir, { recursive: true, force: true }))
    return dir
  }

  it('come from a file, the environment, or the folder, in this order', async () => {
    const dir = await folder()
    await writeFile(join(dir, 'mine'), 'of the file\nand a second line\n')
    await keepPasswords(dir, new Map([['p', 'of the folder']]))
    const env = { SHARDQ_PASSWORD_P: 'of the environment', SHARDQ_PASSWORD_TEAM_A_B: 'of the team' }
    const files = new Map([['p', join(dir, 'mine')]])
    expect(await readPasswords(accounts, { files, folder: dir, env })).toEqual(
      new Map([
        ['p', 'of the file'],
        ['team-a.b', 'of the team'],
      ]),
    )
    expect((await readPasswords(accounts, { folder: dir, env: {} })).get('p')).toBe('of the folder')
    expect(variableOf('team-a.b')).toBe('SHARDQ_PASSWORD_TEAM_A_B')
  })

  it('are kept where nobody else can read them, and never written over', async () => {
    const dir = await folder()
    const [file = ''] = await keepPasswords(join(dir, 'new'), new Map([['p', 'first']]))
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    expect((await stat(join(dir, 'new'))).mode & 0o777).toBe(0o700)
    await expect(keepPasswords(join(dir, 'new'), new Map([['p', 'second']]))).rejects.toThrow('EEXIST')
    expect(await readFile(file, 'utf8')).toBe('first\n')
  })

  it.each([
    ['no such file', new Map([['p', '/nowhere/at/all']]), 'cannot read'],
    ['none of the users', new Map([['x', '/dev/null']]), 'x is none'],
    ['empty', new Map([['p', '/dev/null']]), 'is empty'],
  ])('%s: refused', async (_, files, message) => {
    await expect(readPasswords(accounts, { files, env: {} })).rejects.toThrow(message)
  })

  it('change beside rights, and a change that was broken off shows; both have to be agreed to', () => {
    const [p] = accounts
    if (!p) throw new Error('no account')
    const rules = setuserArgs(p, '7.2', 'b').slice(7)
    const on = (words: string) =>
      changeOf('n', p, '7.2', 'b', parseUsers([`user p ${words} ${rules.join(' ')}`]))
    const stands = (words: string) => {
      const { change, password, switchedOn } = on(words)
      return [change, password, switchedOn]
    }
    expect(stands('on #b')).toEqual(['none', 'same', false])
    expect(stands('on #a')).toEqual(['password', 'changes', false])
    expect(stands('on #a #b')).toEqual(['password', 'earlier-ends', false])
    expect(stands('on nopass')).toEqual(['password', 'changes', false])
    expect(stands('off #b')).toEqual(['password', 'same', true])
    expect(stands('on #a +keys')).toEqual(['rules', 'changes', false])
    const ids = (words: string) => deedsOf([on(words)]).map(({ id }) => id)
    expect(ids('on #b')).toEqual([])
    expect(ids('off #a +keys')).toEqual(['n p rules - +keys', 'n p password', 'n p on'])
  })

  it('that are not given are what the nodes have, if it is one', () => {
    const on = (...hashes: string[]) =>
      new Map(hashes.map((hash, i) => [`n${i}`, parseUsers([`user p on #${hash} -@all`])]))
    const [p] = accounts
    if (!p) throw new Error('no account')
    expect(hashesOf([p], undefined, on('a', 'a')).get('p')).toBe('a')
    expect(hashesOf([p], new Map([['p', 'x']]), on('a')).get('p')).toBe(hashOf('x'))
    expect(() => hashesOf([p], undefined, on('a', 'b'))).toThrow('more than one password')
    expect(() => hashesOf([p], undefined, new Map())).toThrow('no password yet')
  })
})

it('reads a category that a server tells in place of its commands', () => {
  const categories = new Map([['hash', ['hget', 'hset', 'hkeys']]])
  const told = parseUsers(['user p on ~* -@all +@hash -hkeys +get'], categories).get('p')
  expect(told).toEqual(user('user p on ~* -@all +hset +hget +get'))
})
