import { execFile } from 'node:child_process'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it, onTestFinished } from 'vitest'
import { ensureServer, freePorts, inspect } from '../../src/cluster/index.js'
import { clusterNodeConfig } from '../../src/cluster/node-config.js'
import { tempDir } from '../helpers/temp-dir.js'
import { startServer } from './program.js'
import { DEPLOY } from './tools.js'

const run = promisify(execFile)
const UNIT = join(DEPLOY, 'systemd/shardq-redis@.service')
const CONF = join(DEPLOY, 'systemd/redis-7000.conf')

it('the unit is one that systemd takes, where systemd is there', async () => {
  const tool = await run('systemd-analyze', ['--version']).catch(() => null)
  if (!tool) {
    console.warn('NOT RUN: systemd-analyze IS NEEDED (Debian package systemd)')
    return
  }
  const { path } = await ensureServer()
  const file = join(await tempDir(), 'shardq-redis@7000.service')
  await writeFile(file, (await readFile(UNIT, 'utf8')).replace('/usr/bin/redis-server', path))
  // It says what it does not know, and ends with 0 all the same.
  const { stdout, stderr } = await run('systemd-analyze', ['verify', file])
  expect(stdout + stderr).not.toContain('shardq-redis')
})

it('its paths are those of redis-7000.conf', async () => {
  const [unit, conf] = await Promise.all([readFile(UNIT, 'utf8'), readFile(CONF, 'utf8')])
  const state = /^StateDirectory=(.*)$/m.exec(unit)?.[1]?.replace('%i', '7000')
  const runtime = /^RuntimeDirectory=(.*)$/m.exec(unit)?.[1]?.replace('%i', '7000')
  expect(conf).toContain(`dir /var/lib/${state}\n`)
  expect(conf).toContain(`pidfile /run/${runtime}/redis.pid\n`)
  expect(unit).toContain('ExecStart=/usr/bin/redis-server /etc/shardq/redis-%i.conf ')
  expect(conf).toContain('/etc/shardq/redis-7000.conf')
})

it('redis-7000.conf is the profile `queue`, and a server starts with it', async () => {
  const lines = new Set((await readFile(CONF, 'utf8')).split('\n'))
  const theirs = clusterNodeConfig({ port: 7000, dir: '/', profile: 'queue' }).trim().split('\n')
  const place = /^(bind|dir|logfile|pidfile|daemonize|port) /
  for (const line of theirs.filter((each) => !place.test(each))) expect(lines).toContain(line)

  const [server, [port = 0], dir] = await Promise.all([ensureServer(), freePorts(1), tempDir()])
  await mkdir(join(dir, 'data'))
  const moved: Readonly<Record<string, string>> = {
    port: `${port}`,
    dir: `"${join(dir, 'data')}"`,
    pidfile: `"${join(dir, 'pid')}"`,
    bind: '127.0.0.1',
  }
  const conf = [...lines].map((line) => {
    const [name = ''] = line.split(' ')
    return moved[name] === undefined ? line : `${name} ${moved[name]}`
  })
  await writeFile(join(dir, 'redis.conf'), conf.join('\n'))
  const program = await startServer(server.path, [join(dir, 'redis.conf')], { host: '127.0.0.1', port })
  onTestFinished(() => program.stop())
  expect(await inspect({ host: '127.0.0.1', port })).toMatchObject({ knownNodes: 1 })
})
