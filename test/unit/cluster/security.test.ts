import { X509Certificate } from 'node:crypto'
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, test } from 'vitest'
import { accessFor, DataDirError, makeCertificates, type UpOptions } from '../../../src/cluster/index.js'
import { localAccess, securityOf } from '../../../src/cluster/security/access.js'
import { askedPassword } from '../../../src/cluster/security/asked.js'
import { checkFurnishable, checkSamePassword, furnish } from '../../../src/cluster/security/furnish.js'
import { checkSameCluster, newManifest } from '../../../src/cluster/up-options.js'
import { InvalidOptionError } from '../../../src/errors.js'
import { tempDir } from '../../helpers/temp-dir.js'

const PASSWORD = 'the-secret-of-this-test'
const modeOf = async (path: string) => (await stat(path)).mode & 0o777

/** A data folder as `up` makes it, without the nodes. */
async function furnished(options: UpOptions) {
  const dataDir = join(await tempDir(), 'cluster')
  const manifest = newManifest(options)
  await checkFurnishable(dataDir, manifest)
  await mkdir(dataDir)
  await furnish(dataDir, manifest, options)
  return { dataDir, manifest }
}

describe('a password', () => {
  it('lies in a file of its own, and never in the manifest, however it was given', async () => {
    for (const options of [
      { password: PASSWORD },
      { settings: { RequirePass: PASSWORD, masterauth: PASSWORD } },
    ]) {
      const { dataDir, manifest } = await furnished({ ...options })
      expect(JSON.stringify(manifest)).not.toContain(PASSWORD)
      expect(await readFile(join(dataDir, 'password'), 'utf8')).toBe(`${PASSWORD}\n`)
      expect(await modeOf(join(dataDir, 'password'))).toBe(0o600)
      expect(localAccess(dataDir, manifest)).toEqual({ password: PASSWORD })
    }
  })

  it('is made up where any will do, another one each time', async () => {
    const passwords = await Promise.all(
      [1, 2].map(async () => {
        const { dataDir, manifest } = await furnished({ password: true })
        return securityOf(dataDir, manifest).password
      }),
    )
    for (const password of passwords) expect(password).toMatch(/^[\w-]{43}$/)
    expect(passwords[0]).not.toBe(passwords[1])
  })

  it.each([
    ['a line end', { password: 'one\ntwo' }],
    ['nothing', { password: '' }],
    ['too much', { password: 'x'.repeat(513) }],
    ['two of them', { password: PASSWORD, settings: { requirepass: 'another' } }],
    ['masterauth alone', { settings: { masterauth: PASSWORD } }],
    ['another masterauth', { password: PASSWORD, settings: { masterauth: 'another' } }],
  ])('is refused with %s, and not shown', (_, options) => {
    expect(() => askedPassword(options)).toThrow(InvalidOptionError)
    expect(() => askedPassword(options)).not.toThrow(/secret|another|one/)
  })

  it('of a cluster that is there stays as it is', async () => {
    const { dataDir, manifest } = await furnished({ password: PASSWORD })
    for (const options of [{}, { password: PASSWORD }, { password: true } as const])
      checkSamePassword(dataDir, manifest, options)
    expect(() => checkSamePassword(dataDir, manifest, { password: 'another' })).toThrow(
      /has another password/,
    )
    const open = await furnished({})
    expect(() => checkSamePassword(open.dataDir, open.manifest, { password: true })).toThrow(
      /has no password/,
    )
  })

  it('that is there already, and not ours, is left alone', async () => {
    const dataDir = await tempDir()
    await writeFile(join(dataDir, 'password'), 'not ours')
    await expect(checkFurnishable(dataDir, newManifest({}))).rejects.toThrow(DataDirError)
  })
})

describe('TLS', () => {
  it('comes with certificates for this machine that nobody else can read', async () => {
    const { dataDir, manifest } = await furnished({ tls: true })
    expect(manifest.tls).toEqual({ dir: 'tls', authClients: true })
    const dir = join(dataDir, 'tls')
    expect(await modeOf(dir)).toBe(0o700)
    for (const file of await readdir(dir)) expect(await modeOf(join(dir, file))).toBe(0o600)
    const read = (file: string) => readFile(join(dir, file), 'utf8')
    expect(localAccess(dataDir, manifest)).toEqual({
      tls: { ca: await read('ca.crt'), cert: await read('client.crt'), key: await read('client.key') },
    })
    const node = new X509Certificate(await read('node.crt'))
    for (const address of ['127.0.0.1', '::1']) expect(node.checkIP(address)).toBe(address)
    expect(node.checkHost('localhost')).toBe('localhost')
    const ca = new X509Certificate(await read('ca.crt'))
    for (const file of ['node.crt', 'client.crt']) {
      const certificate = new X509Certificate(await read(file))
      expect(certificate.checkIssued(ca) && certificate.verify(ca.publicKey)).toBe(true)
    }
  })

  it('that lets in anybody is refused', () => {
    expect(() => newManifest({ tls: { authClients: false } })).toThrow(/anybody is let in; give a password/)
    expect(newManifest({ tls: { authClients: false }, password: PASSWORD }).tls).toMatchObject({
      authClients: false,
    })
  })

  it('says which file of it is gone', async () => {
    const { dataDir, manifest } = await furnished({ tls: true, password: true })
    const gone = { ...manifest, tls: { dir: '/nowhere', authClients: true } }
    expect(() => localAccess(dataDir, gone)).toThrow(/cannot read \/nowhere\/ca\.crt \(ENOENT\)/)
  })

  it('of a cluster that is there stays as it is', async () => {
    const { dataDir, manifest } = await furnished({ tls: true })
    for (const options of [{}, { tls: true }, { tls: { dir: join(dataDir, 'tls') } }])
      checkSameCluster(dataDir, manifest, options)
    for (const tls of [false, { dir: '/elsewhere' }, { authClients: false }])
      expect(() => checkSameCluster(dataDir, manifest, { tls })).toThrow(DataDirError)
    expect(() => checkSameCluster(dataDir, newManifest({}), { tls: true })).toThrow(/--tls/)
  })
})

describe('certificates', () => {
  it('are never written over', async () => {
    const dir = await tempDir()
    await writeFile(join(dir, 'client.key'), 'mine')
    await expect(makeCertificates({ to: dir })).rejects.toThrow(
      /client\.key is there already; nothing was written/,
    )
    expect(await readdir(dir)).toEqual(['client.key'])
  })

  it('are for the hosts that are named, and by an authority that is there', async () => {
    const dir = await tempDir()
    const first = await makeCertificates({ to: join(dir, 'first') })
    const next = await makeCertificates({
      to: join(dir, 'next'),
      ca: first.dir,
      hosts: ['10.0.0.5', 'redis-1.internal'],
      days: 3,
    })
    expect(next.files).not.toContain('ca.key')
    expect(await readFile(join(next.dir, 'ca.crt'))).toEqual(await readFile(join(first.dir, 'ca.crt')))
    const node = new X509Certificate(await readFile(join(next.dir, 'node.crt')))
    const ca = new X509Certificate(await readFile(join(first.dir, 'ca.crt')))
    expect(node.verify(ca.publicKey)).toBe(true)
    expect(node.checkIP('10.0.0.5') ?? node.checkHost('redis-1.internal')).toBeDefined()
    expect(next.endsMs - Date.now()).toBeLessThan(3 * 86_400_000)
  })

  it.each([
    ['a name that is none', { hosts: ['a b'] }, /"a b" is no host name/],
    ['no time at all', { days: 0 }, /expected 1 to 3650/],
    ['an authority that is not there', { ca: '/nowhere' }, /cannot read \/nowhere\/ca/],
  ])('are refused for %s', async (_, options, problem) => {
    await expect(makeCertificates({ to: await tempDir(), ...options })).rejects.toThrow(problem)
  })

  it('that somebody brings are looked at before any server is started', async () => {
    const dir = await tempDir()
    const [ours, other] = await Promise.all(
      ['ours', 'other'].map(async (name) => (await makeCertificates({ to: join(dir, name) })).dir),
    )
    const bring = (to: string | undefined) =>
      checkFurnishable(join(dir, 'cluster'), newManifest({ tls: { dir: to ?? '' } }))
    await bring(ours)
    const spoil = async (file: string, content: string) => {
      const path = join(ours ?? '', file)
      const before = await readFile(path)
      await writeFile(path, content)
      const error: Error = await bring(ours).then(
        () => new Error('it was taken'),
        (reason) => reason,
      )
      await writeFile(path, before)
      return error.message
    }
    const key = await readFile(join(other ?? '', 'node.key'), 'utf8')
    expect(await spoil('node.key', key)).toMatch(/node\.key is not the key of node\.crt/)
    expect(await spoil('ca.crt', 'nonsense')).toMatch(/ca\.crt is no certificate in PEM/)
    expect(await spoil('node.crt', await readFile(join(ours ?? '', 'client.crt'), 'utf8'))).toMatch(
      /node\.key is not the key|is not for 127\.0\.0\.1/,
    )
    await expect(bring(join(dir, 'none'))).rejects.toThrow(/cannot be read \(ENOENT\)/)
    await expect(bring(join(dir, 'cluster', 'mine'))).rejects.toThrow(/keep certificates outside of it/)
  })
})

test('a local cluster’s password is for its own nodes, and another cluster’s does not lock one out', () => {
  const local = {
    seeds: [{ host: '127.0.0.1', port: 7000 }],
    access: { password: 'local', tls: { ca: 'CA' } },
  }
  const at = (host: string, port: number) => [{ host, port }]
  const configured = { password: 'other' }
  expect(accessFor(at('localhost', 7000), local, configured)).toEqual(local.access)
  expect(accessFor(at('127.0.0.1', 7001), local, configured)).toEqual(configured)
  expect(accessFor(at('10.0.0.5', 7000), local, configured)).toEqual(configured)
  expect(accessFor(at('127.0.0.1', 7000), null, configured)).toEqual(configured)
  // A user of one's own is meant, and the certificates are still those of the folder.
  expect(accessFor(at('127.0.0.1', 7000), local, { username: 'metrics', password: 'm' })).toEqual({
    username: 'metrics',
    password: 'm',
    tls: { ca: 'CA' },
  })
  expect(accessFor(at('127.0.0.1', 7000), { ...local, access: {} }, configured)).toEqual(configured)
})
