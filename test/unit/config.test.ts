import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { makeCertificates } from '../../src/cluster/index.js'
import { loadConfig } from '../../src/config/index.js'
import { ConfigError } from '../../src/errors.js'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shardq-config-'))
})
afterEach(() => rm(folder, { recursive: true }))

async function load(yaml: string, env: Record<string, string> = {}) {
  const path = join(folder, 'redis.yaml')
  await writeFile(path, yaml)
  return loadConfig(path, env)
}

async function faultsOf(loading: Promise<unknown>): Promise<string[]> {
  const error = await loading.then(
    () => expect.fail('a fault was expected'),
    (thrown: unknown) => thrown,
  )
  if (!(error instanceof ConfigError)) throw error
  return error.faults.map(({ path, message }) => `${path}: ${message}`)
}

/** The guide's file, to the letter. */
const CA = '-----BEGIN CERTIFICATE-----'

const GUIDE = `# Production
redis:
  mode: cluster
  nodes:
    - host: 127.0.0.1
      port: 7000
    - host: 127.0.0.1
      port: 7001
    - host: 127.0.0.1
      port: 7002

# Development
# redis:
#   mode: single
#   url: redis://localhost:6379/0
`
const LOCAL = [7000, 7001, 7002].map((port) => ({ host: '127.0.0.1', port }))

describe('the file', () => {
  it("reads the guide's", async () => {
    expect(await load(GUIDE)).toEqual({ redis: { mode: 'cluster', nodes: LOCAL } })
  })

  it("reads the guide's development form", async () => {
    const config = await load('redis:\n  mode: single\n  url: redis://localhost:6379/0\n')
    expect(config).toEqual({ redis: { mode: 'single', url: 'redis://localhost:6379/0' } })
  })

  it('reads every other setting', async () => {
    await writeFile(join(folder, 'ca.pem'), CA)
    const config = await load(`${GUIDE.split('\n\n')[0]}
  username: app
  password: "0123"
  tls: { caFile: ca.pem, servername: redis.example }
  connectionsPerNode: 2
  commandTimeoutMs: 500
  readFrom: replica
  natMap: { "10.0.0.1:6379": { host: 127.0.0.1, port: 7000 } }
`)
    expect(config.redis).toEqual({
      mode: 'cluster',
      nodes: LOCAL,
      username: 'app',
      password: '0123',
      tls: { ca: CA, servername: 'redis.example' },
      connectionsPerNode: 2,
      commandTimeoutMs: 500,
      readFrom: 'replica',
      natMap: { '10.0.0.1:6379': { host: '127.0.0.1', port: 7000 } },
    })
  })

  it('names every fault at once, each with its path', async () => {
    const yaml = `redis:
  mode: cluster
  nods: []
  nodes:
    - host: a
      port: 70000
    - { host: "", port: "7000" }
    - a:7000
  url: redis://localhost
  password: 1234
  tls: { caFile: none.pem }
  connectionsPerNode: 0
  natMap: { here: { host: a, port: 1 }, "a:1": { host: a, port: 1.5 } }
`
    expect((await faultsOf(load(yaml))).sort()).toEqual([
      'redis.connectionsPerNode: expected a whole number from 1 to 64, got 0',
      'redis.natMap.a:1.port: expected a port (1 to 65535), got 1.5',
      'redis.natMap.here: expected host:port as the key, got "here"',
      'redis.nodes[0].port: expected a port (1 to 65535), got 70000',
      'redis.nodes[1].host: expected a host name or address, got ""',
      'redis.nodes[1].port: expected a port (1 to 65535), got "7000"',
      'redis.nodes[2]: expected a host and a port, got "a:7000"',
      'redis.nods: unknown key; did you mean "nodes"?',
      'redis.password: expected text (in quotes, if it is all digits), got a number',
      'redis.tls.caFile: expected a PEM file that can be read (ENOENT), got "none.pem"',
      'redis.url: unknown key in this mode; it belongs to mode: single',
    ])
  })

  it.each([
    ['', ['redis: expected a section with mode and nodes, or mode and url, got nothing']],
    ['just text', ['file: expected a section "redis", got "just text"']],
    [
      'rediss: {}',
      [
        'redis: expected a section with mode and nodes, or mode and url, got nothing',
        'rediss: unknown key; did you mean "redis"?',
      ],
    ],
    [
      'redis:\n  mode: sentinel\n  nodes: []',
      [
        'redis.mode: expected cluster or single, got "sentinel"',
        'redis.nodes: expected a list of at least one node, each with host and port, got a list',
      ],
    ],
    [
      'redis:\n  mode: cluster\n nodes: []',
      ['line 3, column 1: All mapping items must start at the same column'],
    ],
    [
      'redis: { mode: single, url: "redis://$(x);y:1" }',
      [
        'redis.url: expected redis://host:port, or rediss://host:port for TLS, without a path, got "redis://$(x);y:1"',
      ],
    ],
    [
      'redis: { mode: single, url: "redis://a/3" }',
      [
        'redis.url: expected redis://host:port, or rediss://host:port for TLS, without a path, got "redis://a/3"',
      ],
    ],
    ['redis: 1\nredis: 2', ['line 2, column 1: Map keys must be unique']],
  ])('says what is wrong with %j', async (yaml, faults) => {
    expect(await faultsOf(load(yaml))).toEqual(faults)
  })

  it('that is missing is named', async () => {
    await expect(loadConfig(join(folder, 'none.yaml'), {})).rejects.toThrow(/none\.yaml: file: no such file/)
  })
})

describe('the environment', () => {
  it('alone is enough', async () => {
    expect(await loadConfig(undefined, {})).toEqual({ redis: { mode: 'cluster', nodes: LOCAL } })
    const { redis } = await loadConfig(undefined, {
      SHARDQ_REDIS_NODES: 'a:7000, [::1]:7001',
      SHARDQ_REDIS_NAT_MAP: '10.0.0.1:6379=b:7002',
      SHARDQ_REDIS_TLS: 'true',
      SHARDQ_REDIS_USERNAME: '',
    })
    expect(redis).toEqual({
      mode: 'cluster',
      nodes: [
        { host: 'a', port: 7000 },
        { host: '::1', port: 7001 },
      ],
      natMap: { '10.0.0.1:6379': { host: 'b', port: 7002 } },
      tls: true,
    })
  })

  it('wins over the file, also with the other mode', async () => {
    const env = { SHARDQ_REDIS_URL: 'redis://b:6379', SHARDQ_REDIS_CONNECT_TIMEOUT_MS: '900' }
    expect((await load(GUIDE, env)).redis).toEqual({
      mode: 'single',
      url: 'redis://b:6379',
      connectTimeoutMs: 900,
    })
  })

  it('names the file with SHARDQ_CONFIG', async () => {
    await load(GUIDE)
    await writeFile(join(folder, 'other.yaml'), 'redis: { mode: single, url: "redis://c" }')
    const { redis } = await loadConfig(undefined, { SHARDQ_CONFIG: join(folder, 'other.yaml') })
    expect(redis).toEqual({ mode: 'single', url: 'redis://c' })
  })

  it('has variables for certificates, which are laid over the section of the file', async () => {
    const file = join(folder, 'other-ca.pem')
    await writeFile(file, CA)
    const tls = async (yaml: string, env: Record<string, string>) => (await load(yaml, env)).redis.tls
    expect(await tls(GUIDE, { SHARDQ_REDIS_TLS_CA_FILE: file })).toEqual({ ca: CA })
    expect(await tls(GUIDE, { SHARDQ_REDIS_TLS: 'true', SHARDQ_REDIS_TLS_SERVERNAME: 'a' })).toEqual({
      servername: 'a',
    })
    await writeFile(join(folder, 'ca.pem'), `${CA} of the file`)
    const yaml = 'redis: { mode: single, url: "redis://a", tls: { caFile: ca.pem, servername: b } }'
    expect(await tls(yaml, { SHARDQ_REDIS_TLS_CA_FILE: file })).toEqual({ ca: CA, servername: 'b' })
    expect(await tls(yaml, { SHARDQ_REDIS_TLS: 'true' })).toEqual({
      ca: `${CA} of the file`,
      servername: 'b',
    })
    expect(await tls(yaml, { SHARDQ_REDIS_TLS: 'false' })).toBe(false)
  })

  it('has certificates checked before any server is asked', async () => {
    const { dir } = await makeCertificates({ to: join(folder, 'a') })
    const other = await makeCertificates({ to: join(folder, 'b') })
    const faults = (env: Record<string, string>) => faultsOf(load(GUIDE, env))
    const certFile = join(dir, 'client.crt')
    expect(await faults({ SHARDQ_REDIS_TLS_CERT_FILE: certFile })).toEqual([
      'redis.tls.keyFile: expected certFile and keyFile, or neither, got nothing',
    ])
    expect(
      await faults({
        SHARDQ_REDIS_TLS_CERT_FILE: certFile,
        SHARDQ_REDIS_TLS_KEY_FILE: join(other.dir, 'client.key'),
      }),
    ).toEqual([
      'SHARDQ_REDIS_TLS_KEY_FILE: expected the key of certFile, without a password of its own, got nothing',
    ])
    await writeFile(join(folder, 'empty'), '')
    expect(await faults({ SHARDQ_REDIS_TLS_CA_FILE: join(folder, 'empty') })).toEqual([
      expect.stringMatching(/^SHARDQ_REDIS_TLS_CA_FILE: expected a PEM file, which has a line -----BEGIN/),
    ])
    expect(await faults({ SHARDQ_REDIS_TLS_CA_FILE: certFile, SHARDQ_REDIS_TLS: 'no' })).toEqual([
      'SHARDQ_REDIS_TLS: SHARDQ_REDIS_TLS is false, and SHARDQ_REDIS_TLS_CA_FILE is set; unset one of them',
    ])
  })

  it('takes the password from a file', async () => {
    const file = join(folder, 'password')
    await writeFile(file, 'secret\n')
    expect((await load(GUIDE, { SHARDQ_REDIS_PASSWORD_FILE: file })).redis.password).toBe('secret')
  })

  it('has its faults named by variable', async () => {
    const env = {
      SHARDQ_REDIS_NODES: 'a:7000,b:x,c',
      SHARDQ_REDIS_TLS: 'perhaps',
      SHARDQ_REDIS_PASSWORD: 'x',
      SHARDQ_REDIS_PASSWORD_FILE: '/none',
      SHARDQ_REDIS_NODE: 'a:1',
      SHARDQ_REDIS_PATH: '/usr/bin',
    }
    expect((await faultsOf(load(GUIDE, env))).sort()).toEqual([
      'SHARDQ_REDIS_NODE: unknown variable; did you mean "SHARDQ_REDIS_NODES"?',
      'SHARDQ_REDIS_NODES[1].port: expected a port (1 to 65535), got "x"',
      'SHARDQ_REDIS_NODES[2]: expected a host and a port, got "c"',
      'SHARDQ_REDIS_PASSWORD_FILE: SHARDQ_REDIS_PASSWORD is set too; unset one of them',
      'SHARDQ_REDIS_TLS: expected true, false, or a section with caFile, certFile, keyFile, got "perhaps"',
    ])
  })
})

describe('a secret stays one', () => {
  it.each([
    'redis:\n  mode: single\n  url: http://user:hunter2@host:1',
    'redis:\n  mode: single\n  url: user:hunter2@host',
    'redis:\n  mode: single\n  url: redis://:hun@ter2?/hunter2@host:port',
    'redis:\n  mode: single\n  url: redis://host?password=hunter2',
    'redis:\n  mode: cluster\n  nodes: redis://:hunter2@host:7000',
    'redis:\n  mode: cluster\n  password: [hunter2]',
    'redis:\n  password: "hunter2" hunter2\n',
    'redis:\n  password: *hunter2\n',
    'redis:\n  password: >hunter2\n    x\n',
    'redis:\n  password: "hunter2\n',
  ])('in %j', async (yaml) => {
    expect(JSON.stringify(await faultsOf(load(yaml)))).not.toContain('hunter2')
  })
})
