/**
 * `npm run operations:faults -- [--operation move] [--kinds tool,source,target,link] [--at N] [--step K] [--redis-path PATH]`: an
 * operation on a cluster of its own is broken off before each of its calls in turn: the tool is killed, or the node that slots come from or
 * go to, or connections break. Then `cluster fix` runs, and every key and every task must be where it belongs, as it was.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type LocalCluster, planFix } from '../../../src/cluster/index.js'
import { eventually } from '../../helpers/behaviour/harness.js'
import { tell } from '../../helpers/nodes.js'
import { openCluster } from '../../helpers/own-cluster.js'
import { type Scene, setScene } from './scene.js'
import type { Task, Told } from './victim.js'

const KINDS = ['tool', 'source', 'target', 'link'] as const
type Kind = (typeof KINDS)[number]

const VICTIM = fileURLToPath(new URL('victim.ts', import.meta.url))
/** Until an operation that neither ends nor fails is ended. */
const PATIENCE_MS = 90_000

const { values: flags } = parseArgs({
  options: {
    operation: { type: 'string', default: 'move' },
    kinds: { type: 'string', default: KINDS.join() },
    at: { type: 'string' },
    step: { type: 'string', default: '1' },
    'redis-path': { type: 'string' },
  },
})
const say = (text: string) => void process.stdout.write(`${text}\n`)

interface Broken {
  readonly call: string
  readonly end: string
}

class Faults {
  constructor(
    private readonly cluster: LocalCluster,
    private readonly scene: Scene,
    private readonly operation: Task['operation'],
  ) {}

  /** How many calls the operation makes when nothing happens. */
  async count(): Promise<number> {
    const child = this.#begin(await this.#task(0))
    const told = await lastWord(child)
    if (told?.what !== 'done') throw new Error(`${this.operation} did not end well: ${JSON.stringify(told)}`)
    const faults = await this.scene.faults()
    if (faults.length > 0) throw new Error(`without any fault: ${faults.join('; ')}`)
    return told.calls
  }

  /** Undefined: it made fewer calls than that. */
  async breakOff(kind: Kind, at: number): Promise<Broken | undefined> {
    const task = await this.#task(at)
    const child = this.#begin(task)
    let broken: string | undefined
    let down: number | undefined
    let end = 'killed'
    child.on('message', (told: Told) => {
      if (told.what === 'done') end = 'done'
      if (told.what === 'failed') end = told.why
      if (told.what !== 'at') return
      broken = `${told.node} ${told.call}`
      if (kind === 'tool') child.kill('SIGKILL')
      else
        void this.#strike(kind, task, told.node).then((port) => {
          down = port
          // It may have failed by itself meanwhile.
          if (child.connected) child.send('go', () => undefined)
        })
    })
    await Promise.race([once(child, 'exit'), late(child)])
    if (down !== undefined) await this.cluster.restartNode(down)
    return broken === undefined ? undefined : { call: broken, end }
  }

  /** @returns the port of a node that is down */
  async #strike(kind: Kind, { move }: Task, node: string): Promise<number | undefined> {
    if (kind === 'link') {
      const port = Number(node.split(':').at(-1))
      await tell(port, 'CLIENT', 'KILL', 'TYPE', 'normal')
      await tell(port, 'CLIENT', 'KILL', 'TYPE', 'replica')
      return undefined
    }
    const port = (kind === 'source' ? move?.from : move?.to)?.port ?? 0
    await this.cluster.killNode(port)
    return port
  }

  #begin(task: Task): ChildProcess {
    return fork(VICTIM, [JSON.stringify(task)], {
      execArgv: ['--import', 'tsx'],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
  }

  async #task(at: number): Promise<Task> {
    const { from, to, masters } = await this.scene.ends()
    return {
      operation: this.operation,
      at,
      seeds: this.cluster.seeds,
      move: { slots: this.scene.slots, from, to },
      masters,
    }
  }

  /** Everybody is there again, and `fix` has nothing to do any more. @returns what is wrong then */
  async account(): Promise<{ done: string[]; faults: string[] }> {
    await eventually(async () => {
      const { nodes } = await this.cluster.status()
      if (nodes.some(({ flags }) => flags.length > 0)) throw new Error('a node is down')
    }, 20_000)
    const done: string[] = []
    let left: string[] = []
    for (let tries = 0; tries < 3; tries++) {
      const report = await (await planFix(this.cluster.seeds)).run({ evenIfChanged: true })
      done.push(...report.done.map(({ kind }) => kind))
      left = report.left.map(({ what, why }) => `${what}: ${why}`)
      if (left.length === 0 && report.agreed) break
    }
    await eventually(async () => {
      const { state } = await this.cluster.status()
      if (state !== 'ok') throw new Error(`the cluster is ${state}`)
    }, 20_000)
    return { done, faults: [...left, ...(await this.scene.faults())] }
  }
}

async function lastWord(child: ChildProcess): Promise<Told | undefined> {
  let last: Told | undefined
  child.on('message', (told: Told) => {
    last = told
  })
  await once(child, 'exit')
  return last
}

async function late(child: ChildProcess): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, PATIENCE_MS).unref())
  child.kill('SIGKILL')
}

const redisPath = flags['redis-path']
const { cluster, dispose } = await openCluster({
  settings: { 'cluster-node-timeout': '1000' },
  ...(redisPath === undefined ? {} : { redisPath }),
})
let ending = async () => {}
let bad = 0
let points = 0
const startedMs = performance.now()
try {
  const scene = await setScene(cluster)
  ending = () => scene.end()
  const faults = new Faults(cluster, scene, flags.operation as Task['operation'])
  const calls = await faults.count()
  say(`${flags.operation}: ${calls} calls`)
  const wanted = flags.at === undefined ? undefined : Number(flags.at)
  for (const kind of KINDS.filter((each) => flags.kinds.split(',').includes(each))) {
    for (let at = wanted ?? 1; at <= (wanted ?? calls); at += Number(flags.step)) {
      const beganMs = performance.now()
      const broken = await faults.breakOff(kind, at)
      const { done, faults: found } = await faults.account()
      points++
      const ms = Math.round(performance.now() - beganMs)
      const mended = done.length === 0 ? '' : ` fix: ${done.join(' ')};`
      say(
        `${found.length === 0 ? '✓' : '✗'} ${kind} ${at} ${broken?.call ?? '(not reached)'};${mended} ${ms} ms`,
      )
      for (const each of found) say(`    ${each}`)
      if (found.length > 0) {
        bad++
        say(`    the operation: ${broken?.end}`)
        break
      }
    }
  }
} finally {
  await ending()
  await dispose()
}
say(`${points} points in ${Math.round((performance.now() - startedMs) / 1000)} s, ${bad} bad`)
process.exitCode = bad === 0 ? 0 : 1
