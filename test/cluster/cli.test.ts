import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, inject, onTestFinished, test } from 'vitest'
import { freePorts, stopCluster } from '../../src/cluster/index.js'
import { MAIN, shardq } from '../helpers/cli.js'
import { tempDir } from '../helpers/temp-dir.js'

const seed = `127.0.0.1:${inject('cluster').nodes[0]?.port}`
const single = new URL(inject('single').url)

describe('cluster status', () => {
  test('--json: one document with the contract’s fields', async () => {
    const { code, stdout, stderr } = await shardq(['cluster', 'status', '--node', seed, '--json'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const status = JSON.parse(stdout)
    expect(status).toMatchObject({
      state: 'ok',
      slotsAssigned: 16_384,
      slotsOk: 16_384,
      knownNodes: 6,
      size: 3,
    })
    expect(status.nodes).toHaveLength(6)
    expect(status.nodes[0]).toMatchObject({
      id: expect.stringMatching(/^[0-9a-f]{40}$/),
      host: '127.0.0.1',
      port: expect.any(Number),
      role: expect.stringMatching(/^(master|replica)$/),
      flags: [],
      linkState: 'connected',
      configEpoch: expect.any(Number),
    })
  })

  test('a node by another name than the cluster has for it', async () => {
    const { code, stdout } = await shardq([
      'cluster',
      'status',
      '--node',
      seed.replace('127.0.0.1', 'localhost'),
      '--json',
    ])
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ seenBy: seed, answered: 6, knownNodes: 6 })
  })

  test('for people: a table, without colours on a pipe', async () => {
    const { code, stdout } = await shardq(['cluster', 'status', '--node', seed], {
      env: { FORCE_COLOR: '1', CI: '1' },
    })
    expect(code).toBe(0)
    expect(stdout).toContain('10923-16383')
    expect(stdout.includes('\u001b')).toBe(false)
  })

  test('takes its nodes from --config', async () => {
    const config = join(await tempDir(), 'redis.yaml')
    const [host, port] = seed.split(':')
    await writeFile(config, `redis:\n  mode: cluster\n  nodes:\n    - host: ${host}\n      port: ${port}\n`)
    const { code, stdout } = await shardq(['cluster', 'status', '--config', config, '--json'])
    expect(code).toBe(0)
    expect(JSON.parse(stdout).knownNodes).toBe(6)
  })

  test.each([
    ['an address where nobody is', '127.0.0.1:1', 'NodeUnreachableError'],
    ['a server that is no cluster', `127.0.0.1:${single.port}`, 'WrongModeError'],
  ])('%s: exit 1, and with --json the error is the document', async (_, node, name) => {
    const plain = await shardq(['cluster', 'status', '--node', node])
    expect(plain).toMatchObject({ code: 1, stdout: '' })
    expect(plain.stderr).toContain(node)
    const json = await shardq(['cluster', 'status', '--node', node, '--json'])
    expect(json).toMatchObject({ code: 1, stderr: '' })
    expect(JSON.parse(json.stdout).error).toMatchObject({ name })
  })
})

describe('wrong usage', () => {
  test.each([
    'cluster up --bogus',
    'cluster up --masters 2',
    'cluster up --masters many',
    'cluster up --base-port 60000',
    'cluster up --profile fast',
    'cluster up surplus',
    'cluster status --node nowhere',
    'cluster nonsense',
    'nonsense',
    '',
  ])('shardq %s: exit 2, nothing on stdout', async (line) => {
    const words = line.split(' ').filter((word) => word !== '')
    const cwd = await tempDir()
    const plain = await shardq(words, { cwd })
    expect(plain).toMatchObject({ code: 2, stdout: '' })
    expect(plain.stderr).not.toBe('')
    const json = await shardq([...words, '--json'], { cwd })
    expect(json).toMatchObject({ code: 2, stderr: '' })
    expect(JSON.parse(json.stdout).error.message).toEqual(expect.any(String))
  })
})

describe('a folder that cannot be', () => {
  /** One that takes no folders, though it is there: `mkdir` says there that it is not. */
  const NO_PLACE = '/proc/shardq'

  test.each([
    ['backup', ['cluster', 'backup', '--to', `${NO_PLACE}/x`], 1],
    ['up', ['cluster', 'up', '--data-dir', `${NO_PLACE}/x`], 1],
    ['certificates', ['cluster', 'certificates', '--to', `${NO_PLACE}/x`], 2],
    ['users apply', ['cluster', 'users', 'apply', '--yes', '--passwords', `${NO_PLACE}/x`], 2],
  ])('is named by %s, which ends', async (name, words, code) => {
    const needsNode = ['backup', 'users apply'].includes(name)
    const result = await shardq([...words, ...(needsNode ? ['--node', seed] : [])], {
      cwd: await tempDir(),
      // It looped in a thread that no signal ends but this one.
      onSpawn: (child) => {
        const limit = setTimeout(() => child.kill('SIGKILL'), 15_000)
        child.once('exit', () => clearTimeout(limit))
      },
    })
    expect(result).toMatchObject({ code, stderr: expect.stringContaining(`mkdir '${NO_PLACE}`) })
    expect(result.stderr).not.toContain('    at ')
  })

  test('below a link to nothing, it is named with the option that it was given by', async () => {
    const cwd = await tempDir()
    await symlink('nowhere', join(cwd, 'link'))
    const words = ['cluster', 'users', 'apply', '--yes', '--passwords', 'link/s', '--node', seed]
    const plain = await shardq(words, { cwd })
    expect(plain.code).toBe(2)
    expect(plain.stderr).toMatch(/^✗ passwords: cannot make the folder link\/s: EEXIST: .*link'\n$/)
    const { error } = JSON.parse((await shardq([...words, '--json'], { cwd })).stdout)
    expect(error).toMatchObject({ name: 'InvalidOptionError', option: 'passwords' })
  })

  test('the working directory was removed: said in a sentence', async () => {
    const cwd = await tempDir()
    // Removed by the shell that then becomes the command: no process can be started in a folder that is gone.
    const child = spawn(
      'sh',
      ['-c', 'rmdir "$PWD" && exec "$0" "$@"', process.execPath, MAIN, 'cluster', 'status'],
      { cwd, stdio: ['ignore', 'pipe', 'pipe'] },
    )
    const stderr = child.stderr.setEncoding('utf8').toArray()
    const [code] = await once(child, 'close')
    expect({ code, stderr: (await stderr).join('') }).toEqual({
      ...{ code: 2, stderr: expect.stringMatching(/^✗ working directory: it was removed, .*\n$/) },
    })
  })
})

test.each([
  ['--help', 'cluster'],
  ['cluster --help', 'status'],
  ['cluster up --help', '--base-port'],
  ['cluster up --help', 'Examples:'],
  ['cluster stop --help', '--data-dir'],
  ['cluster status --help', '--node'],
  ['cluster check --help', 'Exit codes:'],
  ['cluster check --help', 'masterauth-missing'],
  ['doctor --help', 'Examples:'],
])('shardq %s tells of %s and exits 0', async (line, text) => {
  const { code, stdout, stderr } = await shardq(line.split(' '))
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout).toContain(text)
})

test('up, status, up, stop in a folder with a space, as a user would', async () => {
  const cwd = await tempDir()
  onTestFinished(() => stopCluster({ dataDir: join(cwd, '.shardq', 'cluster'), remove: true }).then(() => {}))
  const [base = 0] = await freePorts(1)

  const up = await shardq(['cluster', 'up', '--base-port', String(base)], { cwd })
  expect(up).toMatchObject({ code: 0, stderr: '' })
  expect(up.stdout).toContain(`Node 1: 127.0.0.1:${base} (MASTER)`)
  expect(up.stdout).toContain(`Node 6: 127.0.0.1:${base + 5} (REPLICA)`)
  expect(up.stdout).toContain('Master[2] -> Slots 10923 - 16383')
  expect(up.stdout).toContain('Nothing here survives the loss of the machine')

  const status = await shardq(['cluster', 'status', '--json'], { cwd })
  expect(JSON.parse(status.stdout).state).toBe('ok')

  const again = await shardq(['cluster', 'up', '--json'], { cwd })
  expect(again).toMatchObject({ code: 0, stderr: '' })
  expect(JSON.parse(again.stdout)).toMatchObject({ outcome: 'running', profile: 'queue' })

  const stop = await shardq(['cluster', 'stop', '--json'], { cwd })
  expect(stop).toMatchObject({ code: 0, stderr: '' })
  expect(JSON.parse(stop.stdout).nodes).toHaveLength(6)
})
