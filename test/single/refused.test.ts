import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ConnectionOptions as TlsOptions } from 'node:tls'
import { inspect } from 'node:util'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { NodeLink, withLink } from '../../src/cluster/link.js'
import {
  checkCluster,
  diagnose,
  makeCertificates,
  type SingleServer,
  startSingle,
} from '../../src/cluster.js'
import { AuthenticationError, TaskQueue, type TlsFault } from '../../src/index.js'
import { letExpire } from '../helpers/expired.js'

const PASSWORD = 'the-secret-of-this-test'

/** What a queue, the tools and the doctor say of a server that lets one not in; each in words of its own, and soon. */
describe('a server that refuses us', () => {
  let folder: string
  let own: { ca: string; cert: string; key: string }
  let other: { ca: string; cert: string; key: string }

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'shardq-tls-'))
    await Promise.all(['own', 'other'].map((name) => makeCertificates({ to: join(folder, name) })))
    await makeCertificates({ to: join(folder, 'expired'), ca: join(folder, 'own') })
    await letExpire(join(folder, 'expired'), join(folder, 'own'))
    ;[own, other] = await Promise.all([filesOf('own'), filesOf('other')])
  })

  afterAll(() => rm(folder, { recursive: true, force: true }))

  async function filesOf(name: string) {
    const read = (file: string) => readFile(join(folder, name, file), 'utf8')
    return { ca: await read('ca.crt'), cert: await read('client.crt'), key: await read('client.key') }
  }

  interface Them {
    readonly tls?: boolean
    readonly expired?: boolean
    readonly password?: string
  }

  async function server({ tls, expired, password }: Them) {
    const single = await startSingle({
      ...(tls ? { tls: { dir: join(folder, 'own') } } : {}),
      ...(password === undefined ? {} : { password }),
    })
    onTestFinished(() => single.stop())
    if (expired) {
      const file = (name: string) => join(folder, 'expired', name)
      const files = ['tls-cert-file', file('node.crt'), 'tls-key-file', file('node.key')]
      await withLink(single, single.access, (link) => link.text('CONFIG', 'SET', ...files))
    }
    return single
  }

  interface Us {
    readonly password?: string
    readonly tls?: TlsOptions
  }

  /** What each of them fails with. */
  async function refusals({ host, port }: SingleServer, us: Us): Promise<Error[]> {
    const queue = new TaskQueue('q', {
      connection: { mode: 'single', url: `redis://${host}:${port}`, ...us },
    })
    const link = NodeLink.open({ host, port }, us).then((opened) =>
      opened.text('INFO').finally(() => opened.close()),
    )
    return Promise.all(
      [queue.connect(), link].map((each) =>
        each.then(
          () => new Error('it was let in'),
          (e) => e,
        ),
      ),
    )
  }

  const found = async ({ host, port }: SingleServer, us: Us) =>
    (await checkCluster([{ host, port }], { ...us, settleMs: 0 })).findings

  const REFUSED: readonly {
    readonly what: string
    readonly them: Them
    readonly us: () => Us
    readonly reason: TlsFault
    readonly check: string
    readonly wayOut: RegExp
  }[] = [
    {
      what: 'TLS to a server that speaks none',
      them: {},
      us: () => ({ tls: own }),
      ...{ reason: 'not-tls', check: 'tls-mismatch', wayOut: /SHARDQ_REDIS_TLS=false/ },
    },
    {
      what: 'no TLS to a server that wants it',
      them: { tls: true },
      us: () => ({}),
      ...{ reason: 'tls-only', check: 'tls-mismatch', wayOut: /SHARDQ_REDIS_TLS_CA_FILE/ },
    },
    {
      what: 'a password, and no TLS, to a server that wants both',
      them: { tls: true, password: PASSWORD },
      us: () => ({ password: PASSWORD }),
      ...{ reason: 'tls-only', check: 'tls-mismatch', wayOut: /SHARDQ_REDIS_TLS_CA_FILE/ },
    },
    {
      what: 'an authority that we do not know',
      them: { tls: true },
      us: () => ({ tls: other }),
      ...{ reason: 'unknown-authority', check: 'certificate-untrusted', wayOut: /redis\.tls\.caFile/ },
    },
    {
      what: 'a certificate for other names',
      them: { tls: true },
      us: () => ({ tls: { ...own, servername: 'elsewhere' } }),
      ...{ reason: 'wrong-host', check: 'certificate-untrusted', wayOut: /elsewhere.*127\.0\.0\.1/ },
    },
    {
      what: 'a certificate that has run out',
      them: { tls: true, expired: true },
      us: () => ({ tls: own }),
      ...{ reason: 'expired', check: 'certificate-expired', wayOut: /put a new one in its place/ },
    },
    {
      what: 'no certificate of ours',
      them: { tls: true },
      us: () => ({ tls: { ca: own.ca } }),
      ...{ reason: 'client-certificate', check: 'client-certificate', wayOut: /SHARDQ_REDIS_TLS_CERT_FILE/ },
    },
    {
      what: 'no certificate of ours, and a password',
      them: { tls: true, password: PASSWORD },
      us: () => ({ tls: { ca: own.ca }, password: PASSWORD }),
      ...{ reason: 'client-certificate', check: 'client-certificate', wayOut: /SHARDQ_REDIS_TLS_CERT_FILE/ },
    },
    {
      what: 'a certificate of ours that they do not trust',
      them: { tls: true },
      us: () => ({ tls: { ...other, ca: own.ca } }),
      ...{ reason: 'client-certificate', check: 'client-certificate', wayOut: /SHARDQ_REDIS_TLS_KEY_FILE/ },
    },
  ]

  it.each(REFUSED)('$what', async ({ them, us, reason, check, wayOut }) => {
    const single = await server(them)
    for (const error of await refusals(single, us())) {
      expect(error).toMatchObject({ name: 'TlsError', reason, node: `127.0.0.1:${single.port}` })
      expect(error.message).toMatch(wayOut)
      expect(inspect(error, { depth: null })).not.toContain(PASSWORD)
    }
    expect((await found(single, us())).map((finding) => finding.check)).toEqual([check])
  })

  it('a wrong password, and none, over TLS', async () => {
    const single = await server({ tls: true, password: PASSWORD })
    for (const [us, check] of [
      [{ tls: own, password: 'not-the-secret' }, 'password-wrong'],
      [{ tls: own }, 'password-missing'],
    ] as const) {
      for (const error of await refusals(single, us)) {
        expect(error).toBeInstanceOf(AuthenticationError)
        expect(error.message).toContain('SHARDQ_REDIS_PASSWORD')
        expect(inspect(error, { depth: null })).not.toContain('not-the-secret')
      }
      expect((await found(single, us)).map((finding) => finding.check)).toEqual([check])
    }
    const queue = new TaskQueue('q', { connection: { mode: 'single', url: single.url, ...single.access } })
    await queue.connect()
    await queue.enqueue('a', 1)
    await queue.disconnect()
  })

  it('the doctor says which it is, from the address alone', async () => {
    const single = await server({ tls: true })
    const report = await diagnose({ node: { host: single.host, port: single.port }, env: {}, settleMs: 0 })
    expect(report.findings.map((finding) => finding.check)).toEqual(['tls-mismatch'])
    expect(report.findings[0]?.mend).toContain('export SHARDQ_REDIS_TLS_CA_FILE=/path/to/ca.crt')
  })
})
