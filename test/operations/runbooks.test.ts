import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Command } from 'commander'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createProgram } from '../../src/cli/program.js'
import { type LocalCluster, startCluster } from '../../src/cluster/index.js'
import { freePorts } from '../../src/cluster/ports.js'
import { TaskQueue } from '../../src/index.js'
import { blocks, page, RUNBOOKS } from '../docs/markdown.js'
import { MAIN } from '../helpers/cli.js'

const run = promisify(execFile)

/** Programs of the host, of which a test has only one. */
const OF_THE_HOST =
  /^(systemctl|journalctl|tail|dmesg|free|df|sysctl|nc|curl|tr|grep|ssh|nft|amtool|promtool)\b/

/** They go on until they are interrupted; that they have begun is what is to be seen. */
const ENDLESS = [/^metrics\b/, /--watch\b/]

/** What leaves another cluster behind than was there. */
const CHANGES = /\b(add-node|remove-node|users apply|restore)\b/

const pages = await Promise.all(RUNBOOKS.map(async (name) => ({ name, text: await page(name) })))
const books = pages
  .map(({ name, text }) => ({
    name,
    commands: blocks(text, 'sh')
      .flatMap((block) => block.split('\n'))
      .map((line) => line.replace(/(^|\s)#.*$/, '').trim())
      .filter((line) => line !== '' && !OF_THE_HOST.test(line)),
  }))
  .filter(({ commands }) => commands.length > 0)

/**
 * What the runbooks tell to type is typed, page by page, on a cluster that is well: every command does something there, or says
 * that there is nothing to do. What they do about the fault that each is for, the tests of that fault show.
 */
describe('runbooks', () => {
  let cluster: LocalCluster
  let folder: string

  const dispose = async () => {
    await cluster?.stop({ remove: true })
    if (folder) await rm(folder, { recursive: true, force: true })
  }
  const begin = async () => {
    folder = await mkdtemp(join(tmpdir(), 'shardq-runbooks-'))
    cluster = await startCluster({
      ports: await freePorts(6),
      dataDir: join(folder, '.shardq/cluster'),
      settings: { 'cluster-node-timeout': '2000' },
    })
    const queue = new TaskQueue('backtests', { connection: { mode: 'cluster', nodes: cluster.seeds } })
    await queue.connect()
    await queue.enqueueMany(Array.from({ length: 20 }, () => ({ type: 'backtest', data: {} })))
    await queue.disconnect()
  }
  beforeAll(begin)
  afterAll(dispose)

  describe.each(books)('$name', ({ commands }) => {
    // A page that grows, shrinks, locks or copies the cluster has it to itself.
    beforeAll(async () => {
      if (!commands.some((line) => CHANGES.test(line))) return cluster.waitUntilReady().then(() => {})
      await dispose()
      await begin()
    })
    afterAll(async () => {
      if (!commands.some((line) => CHANGES.test(line))) return
      await dispose()
      await begin()
    })

    it.each(commands)('%s', async (line) => {
      const typed = onOurs(line, cluster)
      if (typed.startsWith('npx shardq ')) await expectShardq(typed.slice('npx shardq '.length), folder)
      else await expectShell(typed)
    })
  })
})

/** The pages speak of 10.0.0.1:7000 to 10.0.0.6:7000. */
function onOurs(line: string, cluster: LocalCluster): string {
  const port = (number: string) => cluster.nodes[Number(number) - 1]?.port
  return line
    .replaceAll(/10\.0\.0\.([1-6]):7000/g, (_, number) => `127.0.0.1:${port(number)}`)
    .replaceAll(/-h 10\.0\.0\.([1-6]) -p 7000/g, (_, number) => `-h 127.0.0.1 -p ${port(number)}`)
}

/** 1 is a finding, which `check` and `doctor` may well have; 2 would be wrong usage. */
async function expectShardq(line: string, cwd: string): Promise<void> {
  const words = [...line.matchAll(/"([^"]*)"|'([^']*)'|\S+/g)].map(
    ([word, double, single]) => double ?? single ?? word,
  )
  const asks = commandOf(words).options.some(({ long }) => long === '--yes') && !words.includes('--yes')
  const child = spawn(process.execPath, [MAIN, ...words, ...(asks ? ['--yes'] : [])], {
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  }
  if (ENDLESS.some((each) => each.test(line))) {
    await once(child.stdout, 'data')
    child.kill('SIGINT')
  }
  const [code] = (await once(child, 'close')) as [number | null]
  expect([0, 1], `${line}\n${output}`).toContain(code)
  expect(output).not.toBe('')
}

function commandOf(words: readonly string[]): Command {
  let command: Command = createProgram()
  for (const word of words) {
    const inner = command.commands.find((one) => one.name() === word)
    if (!inner) break
    command = inner
  }
  return command
}

/** An error reply of the server is a line of its own, and no exit code. */
async function expectShell(line: string): Promise<void> {
  const { stdout } = await run('sh', ['-c', line], { timeout: 20_000 })
  expect(stdout, line).not.toMatch(/^(\(error\) )?(ERR|NOPERM|WRONGTYPE|MOVED|CLUSTERDOWN)\b/m)
}
