import { spawn } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { MAIN } from '../../helpers/cli.js'
import { commandLines, consecutivePorts } from '../../helpers/machine.js'
import { tempDir } from '../../helpers/temp-dir.js'

/** Runs `shardq` with this umask, as a login shell or a service manager may have set it. */
async function withUmask(umask: string, args: readonly string[]) {
  const words = ['-c', `umask ${umask}; exec "$@"`, 'sh', process.execPath, MAIN, ...args]
  const child = spawn('sh', words, { stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
  let isRunning = true
  const closed = new Promise<number | null>((resolve) => child.once('close', resolve)).finally(() => {
    isRunning = false
  })
  // What others see of it while it runs, of what it starts as well.
  const seen = new Set<string>()
  while (isRunning) for (const line of await commandLines()) seen.add(line)
  return { code: await closed, said, seen: [...seen].join('\n') }
}

const modeOf = async (path: string) => ((await stat(path)).mode & 0o777).toString(8)

/** Of everything in a folder that others than its owner get at: what is in a closed folder they do not. */
async function openToOthers(path: string): Promise<string[]> {
  const found = await stat(path)
  const isOpen = (found.mode & 0o077) !== 0
  if (!found.isDirectory()) return isOpen ? [path] : []
  if (!isOpen) return []
  const inside = await Promise.all((await readdir(path)).map((name) => openToOthers(join(path, name))))
  return [path, ...inside.flat()]
}

it.each(['000', '022'])(
  'with umask %s a cluster with password and certificates, and its backup, are open to nobody else, and no secret is told',
  async (umask) => {
    const folder = await tempDir()
    const [dataDir, backup] = [join(folder, 'data'), join(folder, 'backup')]
    onTestFinished(async () => {
      expect((await withUmask(umask, ['cluster', 'stop', '--data-dir', dataDir])).code).toBe(0)
    })
    const port = String(await consecutivePorts(6))
    const made = await withUmask(umask, [
      ...['cluster', 'up', '--base-port', port, '--data-dir', dataDir, '--password', '--tls'],
    ])
    expect(made.said).toContain('Stop it with')
    const backedUp = await withUmask(umask, ['cluster', 'backup', '--to', backup, '--data-dir', dataDir])
    expect(backedUp.said).toContain('Verify it with')

    expect(await openToOthers(dataDir)).toEqual([])
    expect(await openToOthers(backup)).toEqual([])
    const nodes = (await readdir(dataDir)).filter((name) => name.startsWith('node_'))
    expect(nodes).toHaveLength(6)
    // Whoever opens the data folder to others, so that they may see the logs, opens neither of these with it.
    for (const node of nodes) expect(await modeOf(join(dataDir, node))).toBe('700')
    const files = [...nodes.map((node) => `${node}/redis.conf`), 'password', 'cluster.json']
    for (const file of files) expect([file, await modeOf(join(dataDir, file))]).toEqual([file, '600'])
    expect(await modeOf(join(dataDir, 'tls'))).toBe('700')
    for (const file of await readdir(join(dataDir, 'tls')))
      expect([file, await modeOf(join(dataDir, 'tls', file))]).toEqual([file, '600'])
    for (const file of await readdir(backup))
      expect([file, await modeOf(join(backup, file))]).toEqual([file, '600'])

    const password = (await readFile(join(dataDir, 'password'), 'utf8')).trim()
    expect(password.length).toBeGreaterThan(40)
    const key = (await readFile(join(dataDir, 'tls', 'client.key'), 'utf8')).split('\n')[1] ?? ''
    const written = [
      ...['backup.json', 'users.acl'].map((file) => join(backup, file)),
      ...['cluster.json', ...nodes.map((node) => `${node}/redis.log`)].map((file) => join(dataDir, file)),
    ]
    const texts = await Promise.all(written.map((file) => readFile(file, 'utf8')))
    expect(made.seen).toContain('--password')
    for (const text of [...texts, made.said, made.seen, backedUp.said, backedUp.seen]) {
      expect(text).not.toContain(password)
      expect(text).not.toContain(key)
    }
  },
)

it('certificates hold for a year, and that of a client is good for nothing else', async () => {
  const folder = await tempDir()
  const args = ['cluster', 'certificates', '--to', join(folder, 'tls')]
  expect((await withUmask('000', args)).code).toBe(0)
  const read = async (name: string) => new X509Certificate(await readFile(join(folder, 'tls', name)))
  const [node, client] = [await read('node.crt'), await read('client.crt')]
  const [SERVER, CLIENT] = ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']
  expect(client.keyUsage).toEqual([CLIENT])
  expect(node.keyUsage).toContain(SERVER)
  for (const { validFrom, validTo } of [node, client]) {
    const days = (Date.parse(validTo) - Date.parse(validFrom)) / 86_400_000
    expect(days).toBeGreaterThan(364)
    expect(days).toBeLessThan(367)
  }
  expect(await openToOthers(join(folder, 'tls'))).toEqual([])
})
