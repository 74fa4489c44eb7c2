import { cp, mkdir, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { checkCluster } from '../../src/check/index.js'
import { openSnapshot } from '../../src/cluster/backup/snapshot.js'
import {
  type BackupManifest,
  BackupRefusedError,
  BackupUnsettledError,
  backupCluster,
  type LocalCluster,
  type NodeView,
  RestoreIncompleteError,
  RestoreRefusedError,
  restoreCluster,
  startSingle,
  verifyBackup,
  withOperation,
} from '../../src/cluster/index.js'
import { NodeLink, withLink } from '../../src/cluster/link.js'
import { makeNote } from '../../src/cluster/operation/holder.js'
import { OPERATION_KEY, RESTORE_KEY } from '../../src/cluster/own-keys.js'
import { slotOf, tagForSlot } from '../../src/keys/slots.js'
import { shardq } from '../helpers/cli.js'
import { contentsOf } from '../helpers/contents.js'
import { editManifest, withChecksums } from '../helpers/damaged-backup.js'
import { onFolderSync } from '../helpers/folder-sync.js'
import { tell, tellAll } from '../helpers/nodes.js'
import { openCluster, ownCluster } from '../helpers/own-cluster.js'
import { tempDir } from '../helpers/temp-dir.js'
import { until } from '../helpers/until.js'
import { accessAs, makeUsers, refusalsOn } from '../helpers/users.js'

/** So that keys of some kB are copied in pieces already. */
const SMALL = { bigKeyBytes: 20_000 }

let source: LocalCluster
let three: LocalCluster
let four: LocalCluster
let disposals: (() => Promise<void>)[] = []
/** A backup of `source`, and what was in it then. */
let backup: string
let written: Map<string, string>
let disposeFolder: () => Promise<void>

beforeAll(async () => {
  const opened = await Promise.all([
    openCluster(),
    openCluster(),
    openCluster({ masters: 4, replicasPerMaster: 0 }),
  ])
  disposals = opened.map(({ dispose }) => dispose)
  ;[source, three, four] = opened.map(({ cluster }) => cluster) as [LocalCluster, LocalCluster, LocalCluster]
  await fill()
  const folder = join(source.dataDir, '..', 'backups')
  disposeFolder = () => rm(folder, { recursive: true, force: true })
  backup = join(folder, 'one')
  written = await contentsOf(source.seeds)
  await backupCluster(source.seeds, backup)
})
afterAll(async () => {
  await disposeFolder?.()
  await Promise.all(disposals.map((dispose) => dispose()))
})

const mastersOf = async (cluster: LocalCluster) =>
  (await cluster.status()).nodes.filter(({ role }) => role === 'master')

async function ownerOf(cluster: LocalCluster, key: string): Promise<NodeView> {
  const slot = slotOf(key)
  const owner = (await mastersOf(cluster)).find(({ slots }) => slots.some(([a, b]) => a <= slot && slot <= b))
  if (!owner) throw new Error(`nobody owns ${key}`)
  return owner
}

/** Some hundred keys: every type, small and in pieces, with and without a time to live, names that are no text. */
async function fill(): Promise<void> {
  const nodes = await mastersOf(source)
  const hour = Date.now() + 3_600_000
  const numbers = Array.from({ length: 300 }, (_, i) => i)
  for (const node of nodes)
    await withLink(node, { timeoutMs: 10_000 }, async (link) => {
      const here = (key: string) => node.slots.some(([a, b]) => a <= slotOf(key) && slotOf(key) <= b)
      const put = (command: string, key: string, ...args: (string | number)[]) =>
        here(key) ? link.text(command, key, ...args) : undefined
      for (const i of numbers) {
        await put('SET', `string:${i}`, `value ${i}`, ...(i % 3 === 0 ? ['PXAT', hour + i] : []))
        await put('RPUSH', `list:${i}`, 'a', 'b', i)
        await put('HSET', `hash:${i}`, 'f', i, 'g', 'x')
        await put('SADD', `set:${i}`, 'one', 'two', `three ${i}`)
        await put('ZADD', `zset:${i}`, 0.1 + i, 'a', '-inf', 'b')
        if (i % 2 === 0) await put('PEXPIREAT', `hash:${i}`, hour + i * 7)
      }
      const many = Array.from({ length: 3_000 }, (_, i) => `element number ${i}`)
      await put('SET', 'big:string', 'x'.repeat(50_000))
      await put('RPUSH', 'big:list', ...many)
      await put('SADD', 'big:set', ...many)
      await put('HSET', 'big:hash', ...many.flatMap((name, i) => [name, i]))
      await put('ZADD', 'big:zset', ...many.flatMap((name, i) => [i / 3, name]))
      await put('PEXPIREAT', 'big:hash', hour)
      await put('XADD', 'stream', '1-1', 'field', 'value')
      await (here('stream') ? link.text('XGROUP', 'CREATE', 'stream', 'group', '0') : undefined)
      await put('SET', 'over', 'soon', 'PX', 1)
      const bytes = Buffer.from([0, 255, 10, 13, 32])
      if (node.slots.some(([a, b]) => a <= slotOfBytes(bytes) && slotOfBytes(bytes) <= b))
        await link.bytes('SET', bytes, bytes)
      await link.text('FUNCTION', 'LOAD', LIBRARY)
    })
}

const slotOfBytes = (key: Buffer) => slotOf(key as unknown as string)
const LIBRARY = "#!lua name=lib\nredis.register_function('answer', function() return 42 end)"

const send = (port: number, [command, ...args]: readonly (string | number)[]) =>
  tell(port, String(command), ...args)

async function empty(cluster: LocalCluster): Promise<void> {
  for (const { port } of await mastersOf(cluster)) await tellAll(port, [['FLUSHALL'], ['FUNCTION', 'FLUSH']])
}

describe('a backup', () => {
  it('has one file of each owner, says what is in it, and is for its owner alone', async () => {
    const text = await readFile(join(backup, 'backup.json'), 'utf8')
    const manifest = JSON.parse(text) as BackupManifest
    const { currentEpoch } = await source.status()
    expect(manifest).toMatchObject({ version: 2, epoch: { before: currentEpoch, after: currentEpoch } })
    expect(manifest.settings).toMatchObject({ 'maxmemory-policy': 'noeviction', appendonly: 'yes' })
    expect(text).not.toContain('requirepass')
    expect(manifest.shards.map(({ file }) => file)).toEqual([
      'shard-0.rdb',
      'shard-5461.rdb',
      'shard-10923.rdb',
    ])
    expect(manifest.shards.every(({ checksummed, keys, expiring }) => checksummed && keys > expiring)).toBe(
      true,
    )
    expect((await readdir(backup)).sort()).toEqual(
      ['backup.json', 'backup.json.sha256', 'users.acl', ...manifest.shards.map(({ file }) => file)].sort(),
    )
    for (const file of await readdir(backup))
      expect((await stat(join(backup, file))).mode & 0o077, file).toBe(0)
    const report = await verifyBackup(backup)
    expect(report.faults).toEqual([])
    expect(report.files.reduce((sum, { keys }) => sum + keys, 0)).toBe(written.size)
  })

  it('writes over nothing, and clears away what one that was killed has left', async () => {
    await expect(backupCluster(source.seeds, backup)).rejects.toThrow(/a backup is here already/)
    const dir = await tempDir()
    await writeFile(join(dir, 'letters.txt'), 'dear')
    await expect(backupCluster(source.seeds, dir)).rejects.toThrow(/it holds other things \(letters.txt\)/)
    expect(await readdir(dir)).toEqual(['letters.txt'])
    const left = join(dir, 'left')
    await mkdir(left)
    const note = { ...JSON.parse(await makeNote('backup')), stamp: 'of another time' }
    await writeFile(join(left, 'backup.partial'), JSON.stringify(note))
    await writeFile(join(left, 'shard-7.rdb'), 'half of it')
    await expect(verifyBackup(left)).rejects.toThrow(/one that was not finished/)
    const { manifest } = await backupCluster(source.seeds, left)
    expect(manifest.shards).toHaveLength(3)
    expect(await readdir(left)).not.toContain('shard-7.rdb')
  })

  it('is there, whole, where its name could not be brought to disk, and that is told', async () => {
    const to = join(await tempDir(), 'to')
    await onFolderSync(async () => {
      if ((await readdir(to)).includes('backup.json')) throw new Error('EIO: of the test')
    })
    const told = await backupCluster(source.seeds, to).catch((error) => error)
    expect(told).toBeInstanceOf(BackupUnsettledError)
    expect((await verifyBackup(to, { load: false })).faults).toEqual([])
  })

  it('counts for no WAIT, and leaves nothing on the server when it is ended', async () => {
    const [node] = await mastersOf(four)
    if (!node) throw new Error('no master')
    await tell(node.port, 'CONFIG', 'SET', 'repl-diskless-sync-delay', 1)
    const ending = new AbortController()
    const opening = openSnapshot(node, { signal: ending.signal })
    const connected = () => tell(node.port, 'INFO', 'replication')
    await until('it is connected', connected, (info) => info.includes('connected_slaves:1'))
    const own = `{${tagForSlot(node.slots[0]?.[0] ?? 0)}}w`
    expect(
      await tellAll(node.port, [
        ['SET', own, 1],
        ['WAIT', 1, 50],
        ['DEL', own],
      ]),
    ).toEqual(['OK', '0', '1'])
    ending.abort()
    await expect(opening).rejects.toThrow(/interrupted/)
    await until('it is gone', connected, (info) => info.includes('connected_slaves:0'))
    await tell(node.port, 'CONFIG', 'SET', 'repl-diskless-sync-delay', 0)
  })
})

describe('of servers that save to their own disk first (repl-diskless-sync no)', () => {
  const setAll = async (value: string) => {
    for (const { port } of await mastersOf(four))
      await tell(port, 'CONFIG', 'SET', 'repl-diskless-sync', value)
  }

  it('is refused before the first snapshot, with what to type; where it is not known, there is a warning', async () => {
    const masters = await mastersOf(four)
    const saves = () =>
      Promise.all(masters.map(async ({ port }) => /rdb_saves:\d+/.exec(await tell(port, 'INFO'))?.[0]))
    onTestFinished(() => setAll('yes'))
    await setAll('no')
    const to = join(await tempDir(), 'to')
    const before = await saves()
    const failure = await backupCluster(four.seeds, to).catch((error) => error)
    expect(failure).toBeInstanceOf(BackupRefusedError)
    for (const { port } of masters)
      expect(failure.message).toContain(`redis-cli -h 127.0.0.1 -p ${port} CONFIG SET repl-diskless-sync yes`)
    expect(failure.message).not.toContain('cluster check')
    expect(await saves()).toEqual(before)
    await expect(readdir(to)).rejects.toThrow(/ENOENT/)

    onTestFinished(async () => {
      for (const { port } of masters) await tell(port, 'ACL', 'DELUSER', 'keeper')
    })
    for (const { port } of masters)
      await tell(port, 'ACL', 'SETUSER', 'keeper', 'on', '>hush', '~*', '&*', '+@all', '-config|get')
    const { manifest } = await backupCluster(four.seeds, to, { username: 'keeper', password: 'hush' })
    expect(manifest.warnings).toEqual([
      expect.stringMatching(/^not allowed to ask .* for repl-diskless-sync \(CONFIG GET\)/),
    ])
    expect((await verifyBackup(to, { load: false })).faults).toEqual([])
  })

  it('names a node that refuses writes since, and the way out, and does not try again', async () => {
    const [node] = await mastersOf(four)
    if (!node) throw new Error('no master')
    const { port } = node
    const [dir, file] = await Promise.all(
      ['dir', 'dbfilename'].map(
        async (name) => (await tell(port, 'CONFIG', 'GET', name)).split(',')[1] ?? '',
      ),
    )
    const dump = join(dir ?? '', file ?? '')
    const statusIn = async () =>
      /rdb_last_bgsave_status:(\w+)/.exec(await tell(port, 'INFO', 'persistence'))?.[1]
    const { reply } = NodeLink.prototype
    onTestFinished(async () => {
      NodeLink.prototype.reply = reply
      await setAll('yes')
      await tell(port, 'CONFIG', 'SET', 'save', '')
      await rm(dump, { recursive: true, force: true })
      await tell(port, 'BGSAVE')
      await until('it is saved', statusIn, (status) => status === 'ok')
    })
    await tell(port, 'CONFIG', 'SET', 'save', '3600 1')
    // A save ends with giving the file its name, which a folder has here.
    await rm(dump, { force: true })
    await mkdir(join(dump, 'not empty'), { recursive: true })
    // Changed by somebody after it was looked at.
    NodeLink.prototype.reply = async function (this: NodeLink, command, ...args) {
      const answer = await reply.call(this, command, ...args)
      if (args[0] === 'GET' && args[1] === 'repl-diskless-sync' && this.address.port === port)
        await tell(port, 'CONFIG', 'SET', 'repl-diskless-sync', 'no')
      return answer
    }
    const again: string[] = []
    const failure = await backupCluster(four.seeds, join(await tempDir(), 'to'), {
      onProgress: (progress) => progress.state === 'again' && again.push(progress.why),
    }).catch((error) => error)
    expect(await statusIn()).toBe('err')
    const slot = node.slots[0]?.[0] ?? 0
    await expect(tell(port, 'SET', `{${tagForSlot(slot)}}w`, 1)).rejects.toThrow(/MISCONF/)
    expect(failure).toBeInstanceOf(BackupRefusedError)
    expect(failure.message).toContain(`127.0.0.1:${port} has failed to save to its own disk since`)
    expect(failure.message).toMatch(/BGSAVE; or, .*CONFIG SET stop-writes-on-bgsave-error no/)
    expect(again).toEqual([])
  })
})

describe('the users that it keeps', () => {
  const usersIn = async (to: string) => readFile(join(to, 'users.acl'), 'utf8')

  it('are there, or it is begun anew: a node that does not answer is not one that does not let us ask', async () => {
    const [node] = await mastersOf(four)
    if (!node) throw new Error('no master')
    const { reply } = NodeLink.prototype
    let frozen = false
    onTestFinished(async () => {
      NodeLink.prototype.reply = reply
      await four.resumeNode(node.port)
      await four.waitUntilReady()
    })
    NodeLink.prototype.reply = async function (this: NodeLink, command, ...args) {
      if (command === 'ACL' && this.address.port === node.port && !frozen) {
        frozen = true
        await four.freezeNode(node.port)
      }
      return reply.call(this, command, ...args)
    }
    const to = join(await tempDir(), 'to')
    const again: string[] = []
    const { manifest, tries } = await backupCluster(four.seeds, to, {
      timeoutMs: 1_000,
      onProgress: (progress) => {
        if (progress.state !== 'again') return
        again.push(progress.why)
        void four.resumeNode(node.port)
      },
    })
    expect(again).toEqual([
      expect.stringMatching(new RegExp(`^127.0.0.1:${node.port} did not tell its users: `)),
    ])
    expect({ tries, users: manifest.users, warnings: manifest.warnings }).toEqual({
      ...{ tries: 2, users: 'users.acl', warnings: [] },
    })
    expect(await usersIn(to)).toMatch(/^user default /m)
  })

  it('are those of the first that tells them; who does not let us ask is named', async () => {
    const masters = await mastersOf(four)
    const access = { username: 'keeper', password: 'hush' }
    const nameOf = ({ host, port }: NodeView) => `${host}:${port}`
    const allow = async (told: readonly NodeView[]) => {
      for (const { port } of masters) {
        const right = told.some((node) => node.port === port) ? '+acl|list' : '-acl|list'
        await tell(port, 'ACL', 'SETUSER', 'keeper', 'on', '>hush', '~*', '&*', '+@all', right)
      }
    }
    onTestFinished(async () => {
      for (const { port } of masters) await tell(port, 'ACL', 'DELUSER', 'keeper')
    })
    for (const told of [...masters.map((node) => [node]), []]) {
      await allow(told)
      const to = join(await tempDir(), 'to')
      const { manifest } = await backupCluster(four.seeds, to, access)
      const [warning, ...others] = manifest.warnings
      expect(others).toEqual([])
      for (const node of masters) {
        if (told.includes(node)) expect(warning).not.toContain(nameOf(node))
        else expect(warning).toContain(nameOf(node))
      }
      expect(warning).toMatch(/not allowed to ask .* for their users \(ACL LIST\)$/)
      expect(manifest.users).toBe(told.length === 0 ? null : 'users.acl')
      if (told.length > 0) expect(await usersIn(to)).toContain('user keeper on')
    }
  })
})

it('is refused at once by a server that has no SYNC, with what to do', async () => {
  const server = await startSingle({ settings: { 'rename-command': 'SYNC ""' } })
  onTestFinished(() => server.stop())
  const failure = await openSnapshot(server, server.access).catch((error) => error)
  expect(failure).toBeInstanceOf(BackupRefusedError)
  expect(failure.message).toContain('has no SYNC, by which a replica is given its data (a hosted service?')
})

describe('no backup of a cluster that is not sound', () => {
  const refused = async (cluster: LocalCluster, why: RegExp) => {
    const to = join(await tempDir(), 'to')
    const failure = await backupCluster(cluster.seeds, to, {
      ...{ agreeMs: 0, tries: 1, timeoutMs: 1_000 },
    }).catch((error) => error)
    expect(failure).toBeInstanceOf(BackupRefusedError)
    expect(failure.message).toMatch(why)
    await expect(readdir(to)).rejects.toThrow(/ENOENT/)
  }

  it('an open slot; a key where its owner is not; an owner that does not answer; a half filled cluster', async () => {
    const [a, b] = await mastersOf(four)
    if (!a || !b) throw new Error('no masters')
    const slot = a.slots[0]?.[0] ?? 0
    await tell(a.port, 'CLUSTER', 'SETSLOT', slot, 'MIGRATING', b.id)
    await refused(four, new RegExp(`slot ${slot} is open \\(migrating on`))
    await tell(a.port, 'CLUSTER', 'SETSLOT', slot, 'STABLE')

    const key = `{${tagForSlot(slot)}}stray`
    await tell(b.port, 'CLUSTER', 'SETSLOT', slot, 'IMPORTING', a.id)
    await tellAll(b.port, [['ASKING'], ['SET', key, 1]])
    await tell(b.port, 'CLUSTER', 'SETSLOT', slot, 'STABLE')
    await refused(four, new RegExp(`keys of slots that it does not own \\(${slot}\\)`))
    await tell(b.port, 'CLUSTER', 'SETSLOT', slot, 'IMPORTING', a.id)
    await tellAll(b.port, [['ASKING'], ['DEL', key]])
    await tell(b.port, 'CLUSTER', 'SETSLOT', slot, 'STABLE')

    const keeper = await ownerOf(four, RESTORE_KEY)
    await tell(keeper.port, 'HSET', RESTORE_KEY, 'backup', 'another', 'folder', '/b', 'begunAt', 'today')
    await refused(four, /a restore into this cluster is not complete/)
    await expect(restoreCluster(backup, four.seeds)).rejects.toThrow(
      /a restore of another backup \(\/b, begun today\)/,
    )
    await tell(keeper.port, 'DEL', RESTORE_KEY)

    await four.freezeNode(a.port)
    await refused(four, /does not answer|cluster_state:fail/)
    await four.resumeNode(a.port)
    await four.waitUntilReady()
  })

  it('another operation, told by name; not one that was left behind', async () => {
    const to = join(await tempDir(), 'to')
    await withOperation(four.seeds, {}, { name: 'rebalance' }, undefined, () =>
      refused(four, new RegExp(`rebalance has been running since .* \\(process ${process.pid} on `)),
    )
    const keeper = await ownerOf(four, OPERATION_KEY)
    const note = JSON.parse(await makeNote('rebalance'))
    await tell(
      keeper.port,
      'SET',
      OPERATION_KEY,
      JSON.stringify({ ...note, stamp: 'of another time' }),
      'PX',
      20_000,
    )
    expect((await backupCluster(four.seeds, to)).tries).toBe(1)
    await tell(keeper.port, 'DEL', OPERATION_KEY)
  })

  describe('while slots move', () => {
    type Masters = readonly [from: NodeView, to: NodeView]
    const epochIn = (info: string) => /cluster_current_epoch:(\d+)/.exec(info)?.[1]
    const slotIn = ([{ slots }]: Masters) => slots[0]?.[0] ?? 0
    const moveTo = async (slot: number, from: NodeView, to: NodeView) => {
      // First: by a ping of the other, with a higher epoch, the slot would go back before the other has heard. It can only get a higher one than
      // the other has when it knows of that.
      const epochs = () =>
        Promise.all([to, from].map(({ port }) => tell(port, 'CLUSTER', 'INFO').then(epochIn)))
      await until('both know the same epoch', epochs, ([one, two]) => one !== undefined && one === two)
      await tell(to.port, 'CLUSTER', 'BUMPEPOCH')
      for (const { port } of [to, from]) await tell(port, 'CLUSTER', 'SETSLOT', slot, 'NODE', to.id)
    }
    /** A key of it is on the other node for a moment, in the midst of the snapshots. */
    const copyAndTakeBack = async ([from, to]: Masters, whileThere: Promise<unknown>) => {
      const slot = slotIn([from, to])
      const key = `{${tagForSlot(slot)}}copied`
      await tell(to.port, 'CLUSTER', 'SETSLOT', slot, 'IMPORTING', from.id)
      await tell(from.port, 'CLUSTER', 'SETSLOT', slot, 'MIGRATING', to.id)
      await tellAll(to.port, [['ASKING'], ['SET', key, 1]])
      await whileThere
      await tellAll(to.port, [['ASKING'], ['DEL', key]])
      for (const { port } of [to, from]) await tell(port, 'CLUSTER', 'SETSLOT', slot, 'STABLE')
    }
    const KINDS: readonly (readonly [
      what: string,
      act: (masters: Masters, whileThere: Promise<unknown>) => Promise<unknown>,
      undo: (masters: Masters) => Promise<unknown>,
    ])[] = [
      [
        'for good',
        (masters) => moveTo(slotIn(masters), ...masters),
        ([from, to]) => moveTo(slotIn([from, to]), to, from),
      ],
      ['and are taken back', copyAndTakeBack, async () => {}],
    ]
    it.each(KINDS)(
      '%s: refused, or begun anew',
      async (_, act, undo) => {
        const [a, b, c] = await mastersOf(four)
        if (!a || !b || !c) throw new Error('no masters')
        /** One snapshot begins a second after the others, the last one two, so that there is time to do something meanwhile. */
        const delays = (seconds: number) =>
          Promise.all([
            tell(b.port, 'CONFIG', 'SET', 'repl-diskless-sync-delay', seconds),
            tell(c.port, 'CONFIG', 'SET', 'repl-diskless-sync-delay', seconds * 2),
          ])
        await delays(1)
        for (const tries of [1, 3]) {
          const to = join(await tempDir(), 'to')
          let acting: Promise<unknown> | undefined
          let onLast = () => {}
          const last = new Promise<void>((resolve) => {
            onLast = resolve
          })
          const backup = backupCluster(four.seeds, to, {
            tries,
            onProgress: (progress) => {
              if (progress.state !== 'begun') return
              if (progress.node === `${b.host}:${b.port}`) onLast()
              else acting ??= act([a, b], last)
            },
          })
          const made = await backup.then(
            (report) => report,
            (error) => error,
          )
          await acting
          if (tries === 1) expect(made).toBeInstanceOf(BackupRefusedError)
          else {
            expect(made).toMatchObject({ tries: 2, manifest: { shards: { length: 4 } } })
            expect((await verifyBackup(to)).faults).toEqual([])
          }
          await undo([a, b])
          await four.waitUntilReady()
        }
        await delays(0)
      },
      60_000,
    )
  })
})

describe('a backup that is damaged is found out, and not restored', () => {
  const FIRST = 'shard-0.rdb'
  const LAST = 'shard-10923.rdb'
  const DAMAGES: readonly (readonly [
    what: string,
    damage: (dir: string) => Promise<unknown>,
    found: RegExp,
  ])[] = [
    ['a file that is cut off', (dir) => truncate(join(dir, FIRST), 500), /it has 500 bytes/],
    ['a file that is missing', (dir) => rm(join(dir, FIRST)), /shard-0.rdb: it is not there/],
    [
      'a byte that is another',
      async (dir) => {
        const bytes = await readFile(join(dir, FIRST))
        bytes.writeUInt8((bytes[400] ?? 0) ^ 1, 400)
        await writeFile(join(dir, FIRST), bytes)
      },
      /CRC64/,
    ],
    [
      'files that have changed places',
      (dir) =>
        editManifest(dir, ({ shards: [a = {}, b = {}] }) => {
          const { slots } = a
          Object.assign(a, { slots: b.slots })
          Object.assign(b, { slots })
        }),
      /which is not one of its slots/,
    ],
    // Of the last one: nothing of the first is written before it is known.
    [
      'an RDB of a later format',
      async (dir) => {
        const bytes = await readFile(join(dir, LAST))
        bytes.write('0099', 5)
        await writeFile(join(dir, LAST), await withChecksums(dir, 2, bytes))
        await editManifest(dir, (manifest) =>
          Object.assign(manifest, { server: { flavour: 'Redis', version: '99.0.0' } }),
        )
      },
      /shard-10923.rdb: .* cannot read it: Can't handle RDB format version 99; it was written by Redis 99.0.0: .* with --redis-path/,
    ],
    [
      'another number of keys',
      (dir) => editManifest(dir, ({ shards: [shard = {}] }) => Object.assign(shard, { keys: 7 })),
      /and was backed up with 7/,
    ],
    [
      'slots that are in no file',
      (dir) => editManifest(dir, ({ shards: [shard = {}] }) => Object.assign(shard, { slots: [[0, 100]] })),
      /5360 slots are in none of its files/,
    ],
    [
      'a manifest of a later version',
      (dir) => editManifest(dir, (manifest) => Object.assign(manifest, { version: 3 })),
      /a backup of format 3/,
    ],
    [
      'a manifest that is cut off',
      (dir) => truncate(join(dir, 'backup.json'), 200),
      /backup.json is damaged/,
    ],
    [
      'a manifest that was changed',
      async (dir) => {
        const manifest = JSON.parse(await readFile(join(dir, 'backup.json'), 'utf8'))
        const [shard] = manifest.shards
        await writeFile(
          join(dir, 'backup.json'),
          JSON.stringify({ ...manifest, shards: [{ ...shard, slots: [[0, 16_383]] }] }),
        )
      },
      /backup.json was changed/,
    ],
    [
      'a checksum of the manifest that cannot be read',
      async (dir) => {
        await rm(join(dir, 'backup.json.sha256'))
        await mkdir(join(dir, 'backup.json.sha256'))
      },
      /cannot read backup.json.sha256: it is no file/,
    ],
    ['no checksum of the manifest', (dir) => rm(join(dir, 'backup.json.sha256')), /no backup.json.sha256/],
    [
      'a file of a node that was not there',
      (dir) =>
        editManifest(dir, ({ shards: [shard = {}] }) =>
          Object.assign(shard, { node: { id: 'x', host: 'h', port: 1 } }),
        ),
      /not among the masters/,
    ],
    [
      'slots from the last to the first',
      (dir) => editManifest(dir, ({ shards: [shard = {}] }) => Object.assign(shard, { slots: [[5_460, 0]] })),
      /the first slot is after the last/,
    ],
    [
      'users in a file elsewhere',
      (dir) => editManifest(dir, (manifest) => Object.assign(manifest, { users: '../../etc/shadow' })),
      /users: Invalid input/,
    ],
    [
      'users that were changed',
      (dir) => writeFile(join(dir, 'users.acl'), 'user somebody on nopass ~* +@all\n'),
      /users.acl: its SHA-256 is another/,
    ],
    ['no manifest', (dir) => rm(join(dir, 'backup.json')), /there is no backup.json/],
  ]
  it.each(DAMAGES)('%s', async (_, damage, found) => {
    const dir = join(await tempDir(), 'damaged')
    await cp(backup, dir, { recursive: true })
    await damage(dir)
    const faults = await verifyBackup(dir).then(
      (report) => report.faults.join(),
      (error: Error) => error.message,
    )
    expect(faults).toMatch(found)
    await expect(restoreCluster(dir, three.seeds)).rejects.toThrow(found)
    for (const { port } of await mastersOf(three))
      expect(await tell(port, 'SCAN', 0, 'COUNT', 1000)).toBe('0,')
  })
})

describe('a restore', () => {
  it('brings every key to three and to four masters, with its exact time to live', async () => {
    for (const cluster of [three, four]) {
      await empty(cluster)
      const report = await restoreCluster(backup, cluster.seeds, SMALL)
      expect(await contentsOf(cluster.seeds)).toEqual(written)
      expect(report).toMatchObject({ resumed: false, keys: written.size })
      for (const { port } of await mastersOf(cluster))
        expect(await tell(port, 'FCALL', 'answer', 0)).toBe('42')
    }
  })

  it('writes over nothing: a cluster that has a key is named, with the key', async () => {
    await empty(four)
    const { port } = await ownerOf(four, 'mine')
    await tell(port, 'SET', 'mine', 'dear')
    const failure = await restoreCluster(backup, four.seeds).catch((error) => error)
    expect(failure).toBeInstanceOf(RestoreRefusedError)
    expect(failure.message).toContain(`127.0.0.1:${port} is not empty: it has mine`)
    expect(await contentsOf(four.seeds)).toEqual(new Map([['mine', 'string -1 64656172']]))
  })

  it('goes on where it ended; a key that somebody has changed since is not written over', async () => {
    await empty(four)
    const ending = new AbortController()
    const interrupted = restoreCluster(backup, four.seeds, {
      ...SMALL,
      signal: ending.signal,
      onProgress: ({ state }) => state === 'restored' && ending.abort(),
    })
    await expect(interrupted).rejects.toThrow(RestoreIncompleteError)
    const partly = (await contentsOf(four.seeds)).size
    expect(partly).toBeGreaterThan(100)
    expect(partly).toBeLessThan(written.size)

    const { findings } = await checkCluster(four.seeds)
    expect(findings.map(({ check }) => check)).toContain('restore-unfinished')

    const changed = [...(await contentsOf(four.seeds)).keys()].find((key) => key.startsWith('list:')) ?? ''
    const { port } = await ownerOf(four, changed)
    await tell(port, 'RPUSH', changed, 'by a worker')
    const failure = await restoreCluster(backup, four.seeds, SMALL).catch((error) => error)
    expect(failure).toBeInstanceOf(RestoreIncompleteError)
    expect(failure.message).toContain(`${changed} on 127.0.0.1:${port} is there otherwise than in the backup`)
    await tell(port, 'RPOP', changed)

    const report = await restoreCluster(backup, four.seeds, SMALL)
    expect(report.resumed).toBe(true)
    expect(report.files[0]?.found).toBeGreaterThan(100)
    expect(await contentsOf(four.seeds)).toEqual(written)
  }, 60_000)

  describe('a key that is copied in pieces', () => {
    const big = (type: string) => `big:${type}`
    const TYPES = ['string', 'list', 'set', 'hash', 'zset'] as const
    /** What a client writes: to the key as it is in the backup, it would be lost, or would change it. */
    const MINE: Readonly<Record<(typeof TYPES)[number], (string | number)[]>> = {
      string: ['SET', big('string'), 'y'],
      list: ['RPUSH', big('list'), 'mine'],
      set: ['SADD', big('set'), 'element number 1'],
      hash: ['HSET', big('hash'), 'element number 7', 'mine'],
      zset: ['ZADD', big('zset'), 5, 'element number 3'],
    }
    /** What it is written with. */
    const WRITES: Readonly<Record<(typeof TYPES)[number], string>> = {
      string: 'SETRANGE',
      list: 'RPUSH',
      set: 'SADD',
      hash: 'HSET',
      zset: 'ZADD',
    }
    /** `act` is done before the first command of that name. @returns undoes it */
    const doBefore = (name: string, act: () => Promise<unknown>) => {
      const { bytes } = NodeLink.prototype
      let acting: Promise<unknown> | undefined
      NodeLink.prototype.bytes = async function (this: NodeLink, command, ...args) {
        if (command === name) acting ??= act()
        await acting
        return bytes.call(this, command, ...args)
      }
      const undo = () => {
        NodeLink.prototype.bytes = bytes
      }
      onTestFinished(undo)
      return undo
    }

    it.each(TYPES)(
      '%s: a client that writes it meanwhile loses nothing',
      async (type) => {
        await empty(four)
        const { port } = await ownerOf(four, big(type))
        const undo = doBefore(WRITES[type], () => send(port, MINE[type]))
        const failure = await restoreCluster(backup, four.seeds, SMALL).catch((error) => error)
        undo()
        expect(failure).toBeInstanceOf(RestoreIncompleteError)
        expect(failure.message).toContain(`${big(type)} has appeared on 127.0.0.1:${port}`)
        const now = await contentsOf(four.seeds)
        await send(port, ['DEL', big(type)])
        await send(port, MINE[type])
        expect((await contentsOf(four.seeds)).get(big(type))).toBe(now.get(big(type)))
        expect([...now.keys()].filter((key) => key.startsWith('shardq:restore:'))).toEqual([])
      },
      60_000,
    )

    it('broken off in the middle: what was put together goes, and it is made anew', async () => {
      await empty(four)
      const ending = new AbortController()
      const undo = doBefore('HSET', async () => ending.abort())
      const options = { ...SMALL, signal: ending.signal }
      await expect(restoreCluster(backup, four.seeds, options)).rejects.toThrow(RestoreIncompleteError)
      undo()
      const { port } = await ownerOf(four, big('hash'))
      const keeper = await ownerOf(four, RESTORE_KEY)
      // As it is when it is killed.
      const part = `shardq:restore:part:{${tagForSlot(slotOf(big('hash')))}}:${'0'.repeat(32)}`
      await send(port, ['HSET', part, 'element number 7', 7])
      await tell(keeper.port, 'HSET', RESTORE_KEY, 'partial', part)
      expect(await restoreCluster(backup, four.seeds, SMALL)).toMatchObject({ resumed: true })
      expect(await contentsOf(four.seeds)).toEqual(written)
    })

    it('what no restore has put together is not removed, whatever the note says', async () => {
      await empty(four)
      const { id } = JSON.parse(await readFile(join(backup, 'backup.json'), 'utf8')) as BackupManifest
      const keeper = await ownerOf(four, RESTORE_KEY)
      const { port } = await ownerOf(four, 'mine')
      await tell(port, 'SET', 'mine', 'dear')
      const note = ['backup', id, 'folder', backup, 'begunAt', 'today', 'partial', 'mine']
      await tell(keeper.port, 'HSET', RESTORE_KEY, ...note)
      await expect(restoreCluster(backup, four.seeds, SMALL)).rejects.toThrow(/something else writes to it/)
      expect(await tell(port, 'GET', 'mine')).toBe('dear')
    })

    it('under construction, it goes by itself if nobody finishes it', async () => {
      await empty(four)
      const { port } = await ownerOf(four, big('list'))
      const lasts: number[] = []
      const { bytes } = NodeLink.prototype
      onTestFinished(() => {
        NodeLink.prototype.bytes = bytes
      })
      NodeLink.prototype.bytes = async function (this: NodeLink, command, ...args) {
        const reply = await bytes.call(this, command, ...args)
        if (command === 'EXEC' && this.address.port === port)
          for (const name of (await tell(port, 'KEYS', 'shardq:restore:part:*')).split(',').filter(Boolean))
            lasts.push(Number(await tell(port, 'PTTL', name)))
        return reply
      }
      await restoreCluster(backup, four.seeds, SMALL)
      expect(lasts.length).toBeGreaterThan(1)
      expect(Math.min(...lasts)).toBeGreaterThan(0)
    })
  })

  it('is refused by a note that is none, and a backup by one of an operation that cannot be read, in words that say what to do', async () => {
    await empty(four)
    const keeper = await ownerOf(four, RESTORE_KEY)
    await tell(keeper.port, 'RPUSH', RESTORE_KEY, 'hello')
    const refused = await restoreCluster(backup, four.seeds).catch((error) => error)
    expect(refused).toBeInstanceOf(RestoreRefusedError)
    expect(refused.message).toMatch(/shardq:restore is not from shardq.*DEL shardq:restore/)
    await tell(keeper.port, 'DEL', RESTORE_KEY)
    await tell(keeper.port, 'HSET', RESTORE_KEY, 'partial', 'not hex', 'folder', '\x1b[2J')
    expect(await restoreCluster(backup, four.seeds).catch((error) => error)).toBeInstanceOf(
      RestoreRefusedError,
    )
    await tell(keeper.port, 'DEL', RESTORE_KEY)

    const lock = await ownerOf(four, OPERATION_KEY)
    const to = join(await tempDir(), 'to')
    for (const note of [
      ['SET', OPERATION_KEY, '{"operation":{"a":1},"pid":"1; rm","host":7}'],
      ['SET', OPERATION_KEY, '[[['],
    ]) {
      await send(lock.port, note)
      const failure = await backupCluster(four.seeds, to, { agreeMs: 0, tries: 1 }).catch((error) => error)
      expect(failure).toBeInstanceOf(BackupRefusedError)
      expect(failure.message).toContain('an operation has been running since')
      expect(failure.message).not.toContain('rm')
      await tell(lock.port, 'DEL', OPERATION_KEY)
    }
  })

  describe('into a node with too little memory', () => {
    const limit = async (port: number, bytes: number, policy = 'noeviction') => {
      await tell(port, 'CONFIG', 'SET', 'maxmemory', bytes, 'maxmemory-policy', policy)
    }
    const used = async (port: number) =>
      Number(/used_memory:(\d+)/.exec(await tell(port, 'INFO', 'memory'))?.[1])
    /** Of two files in one restore, the second finds the cluster so. */
    const afterTheFirst = async (act: () => Promise<void>) => {
      let acting: Promise<void> | undefined
      const restored = restoreCluster(backup, three.seeds, {
        ...SMALL,
        onProgress: ({ state }) => {
          if (state === 'restored') acting ??= act()
        },
      })
      const failure = await restored.catch((error) => error)
      await acting
      return failure
    }

    it('names it, loses and writes over nothing, and goes on when it has more', async () => {
      await empty(three)
      const isFull = (failure: Error, { host, port }: NodeView) => {
        expect(failure.message).toContain(`${host}:${port} has no memory left for it (maxmemory)`)
        expect(failure.message).toContain('CONFIG SET maxmemory BYTES')
        return failure
      }
      // Not even a note that it was begun.
      const keeper = await ownerOf(three, RESTORE_KEY)
      onTestFinished(() => limit(keeper.port, 0))
      let limiting: Promise<void> | undefined
      const refused = await restoreCluster(backup, three.seeds, {
        ...SMALL,
        onProgress: ({ state }) => {
          if (state === 'looking') limiting ??= limit(keeper.port, 1)
        },
      }).catch((error) => error)
      await limiting
      expect(isFull(refused, keeper)).toBeInstanceOf(RestoreRefusedError)
      expect((await contentsOf(three.seeds)).size).toBe(0)
      await limit(keeper.port, 0)

      const last = (await mastersOf(three)).find(({ slots }) => slots.some(([, end]) => end === 16_383))
      if (!last) throw new Error('nobody owns the last slot')
      onTestFinished(() => limit(last.port, 0))
      const halfWay = await afterTheFirst(() => limit(last.port, 1))
      const again = await restoreCluster(backup, three.seeds, SMALL).catch((error) => error)
      for (const failure of [halfWay, again])
        expect(isFull(failure, last)).toBeInstanceOf(RestoreIncompleteError)
      const found = await contentsOf(three.seeds)
      expect(found.delete(RESTORE_KEY)).toBe(true)
      expect(found.size).toBeGreaterThan(500)
      expect(new Map([...found].map(([key]) => [key, written.get(key)]))).toEqual(found)

      await limit(last.port, 0)
      const report = await restoreCluster(backup, three.seeds, SMALL)
      expect(report).toMatchObject({ resumed: true, keys: written.size })
      expect(await contentsOf(three.seeds)).toEqual(written)
    }, 60_000)

    it('refuses what it can know beforehand to have no room, on one node or on all together', async () => {
      const { shards } = JSON.parse(await readFile(join(backup, 'backup.json'), 'utf8')) as BackupManifest
      // The same slots as in the backup, so that one file is one node's; and other ones, over which each file is spread.
      for (const [cluster, policy] of [
        [three, 'allkeys-lru'],
        [four, 'noeviction'],
      ] as const) {
        await empty(cluster)
        const masters = await mastersOf(cluster)
        const limited = cluster === three ? masters.slice(0, 1) : masters
        onTestFinished(async () => {
          for (const { port } of limited) await limit(port, 0)
        })
        const least = Math.min(...shards.map(({ bytes }) => bytes))
        for (const { port } of limited) await limit(port, (await used(port)) + Math.floor(least / 2), policy)
        const failure = await restoreCluster(backup, cluster.seeds, SMALL).catch((error) => error)
        expect(failure).toBeInstanceOf(RestoreRefusedError)
        const who = cluster === three ? `127.0.0.1:${limited[0]?.port} has` : '4 masters have together'
        expect(failure.message).toMatch(
          new RegExp(`${who} \\d+ bytes of memory left .* takes \\d+ at least: .*CONFIG SET`),
        )
        expect((await contentsOf(cluster.seeds)).size).toBe(0)
        for (const { port } of limited) await limit(port, 0)
      }
    }, 60_000)

    it('says so where that throws keys away instead, and brings them when it does not any more', async () => {
      await empty(three)
      const first = (await mastersOf(three)).find(({ slots }) => slots.some(([start]) => start === 0))
      if (!first) throw new Error('nobody owns slot 0')
      onTestFinished(() => limit(first.port, 0))
      const failure = await afterTheFirst(async () =>
        limit(first.port, (await used(first.port)) - 30_000, 'allkeys-random'),
      )
      expect(failure).toBeInstanceOf(RestoreIncompleteError)
      expect(failure.message).toMatch(new RegExp(`${first.host}:${first.port} has thrown \\d+ keys away`))
      expect(failure.message).not.toContain('FLUSHALL')
      await limit(first.port, 0)
      const report = await restoreCluster(backup, three.seeds, SMALL)
      expect(report).toMatchObject({ resumed: true, keys: written.size })
      expect(await contentsOf(three.seeds)).toEqual(written)
    }, 60_000)
  })

  it('on the command line: backup, verify, restore into a cluster of its own making', async () => {
    const cwd = await tempDir()
    const to = join(cwd, 'by hand')
    const { nodes } = await source.status()
    const made = await shardq(['cluster', 'backup', '--to', to, '--node', `127.0.0.1:${nodes[0]?.port}`], {
      cwd,
    })
    expect(made).toMatchObject({ code: 0, stderr: '' })
    expect(made.stdout).toMatch(/✅ 1,\d{3} keys of (Redis|Valkey) [\d.]+, epoch \d+ before and after/)
    expect((await shardq(['cluster', 'backup'], { cwd })).code).toBe(2)

    const verified = await shardq(['cluster', 'backup', 'verify', to, '--json'], { cwd })
    expect(verified.code).toBe(0)
    expect(JSON.parse(verified.stdout)).toMatchObject({ ok: true, faults: [] })
    await truncate(join(to, 'shard-0.rdb'), 10)
    const damaged = await shardq(['cluster', 'backup', 'verify', to, '--no-load'], { cwd })
    expect(damaged.code).toBe(1)
    expect(damaged.stdout).toMatch(/✗ shard-0.rdb: it has 10 bytes/)

    await empty(four)
    const target = `127.0.0.1:${(await mastersOf(four))[0]?.port}`
    const restored = await shardq(['cluster', 'restore', '--from', backup, '--node', target, '--json'], {
      cwd,
    })
    expect(restored.code).toBe(0)
    expect(JSON.parse(restored.stdout)).toMatchObject({ masters: 4, keys: written.size, resumed: false })
    const none = await shardq(['cluster', 'restore', '--from', to, '--masters', '3', '--data-dir', 'new'], {
      cwd,
    })
    expect(none).toMatchObject({ code: 1, stderr: expect.stringContaining('it has 10 bytes') })
    expect(await readdir(cwd)).toEqual(['by hand'])
  }, 60_000)
})

it('over TLS, as the user `operator`, who needs no right more than they have', async () => {
  const cluster = await ownCluster({ tls: true, password: 'hush', replicasPerMaster: 0 })
  await makeUsers(cluster.seeds, cluster.access)
  const { tls } = cluster.access
  const access = { ...accessAs('operator'), ...(tls === undefined ? {} : { tls }) }
  const many = Array.from({ length: 2_000 }, (_, i) => `element number ${i}`)
  const masters = await mastersOf(cluster)
  const onEach = (act: (node: NodeView, link: NodeLink) => Promise<unknown>) =>
    Promise.all(masters.map((node) => withLink(node, cluster.access, (link) => act(node, link))))
  await onEach(async ({ slots: [[first] = [0]] }, link) => {
    const key = (name: string) => `{${tagForSlot(first)}}${name}`
    await link.text('SET', key('text'), 'x'.repeat(50_000), 'PX', 3_600_000)
    await link.text('RPUSH', key('list'), ...many)
    await link.text('SADD', key('set'), ...many)
    await link.text('HSET', key('hash'), ...many)
    await link.text('ZADD', key('zset'), ...many.flatMap((name, i) => [i, name]))
    await link.text('FUNCTION', 'LOAD', LIBRARY)
  })
  const to = join(await tempDir(), 'to')
  const { manifest } = await backupCluster(cluster.seeds, to, access)
  expect(JSON.stringify(manifest)).not.toContain('hush')
  expect(manifest.users).toBe('users.acl')
  const before = await contentsOf(cluster.seeds, cluster.access)
  await onEach((_, link) => link.text('FLUSHALL'))
  await restoreCluster(to, cluster.seeds, { ...access, ...SMALL })
  expect(await contentsOf(cluster.seeds, cluster.access)).toEqual(before)
  expect(before.size).toBe(15)
  expect(await refusalsOn(cluster.seeds, cluster.access)).toEqual([])
})
