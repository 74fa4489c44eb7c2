import type { Colors } from 'picocolors/types.js'

/** One shard as the queue's client sees it. */
export interface ShardLine {
  /** `host:port` of its master. */
  readonly master: string
  readonly state: 'ok' | 'degraded' | 'down'
  /** What there is to say of it, in a few words. */
  readonly remark: string
}

/** Everything the live view shows. */
export interface Progress {
  readonly elapsedMs: number
  readonly tasks: number
  readonly acknowledged: number
  readonly completed: number
  readonly tasksPerSecond: number
  readonly longestEnqueueMs: number
  readonly shards: readonly ShardLine[]
}

const BAR_CELLS = 30

/** The live view of a terminal. */
export function renderLive(progress: Progress, colors: Colors): string {
  const { tasks, acknowledged, completed } = progress
  const filled = Math.floor((completed / tasks) * BAR_CELLS)
  const bar = colors.cyan('█'.repeat(filled)) + colors.dim('░'.repeat(BAR_CELLS - filled))
  const paint = { ok: colors.green, degraded: colors.yellow, down: colors.red }
  return [
    '',
    `  ${bar} ${count(completed)} of ${count(tasks)} back-tests   ${colors.bold(count(progress.tasksPerSecond))}/s`,
    `  acknowledged ${count(acknowledged)}   longest enqueue ${ms(progress.longestEnqueueMs)}   ${seconds(progress.elapsedMs)}`,
    '',
    ...progress.shards.map(
      ({ master, state, remark }) => `  ${paint[state]('●')} ${master.padEnd(16)} ${paint[state](remark)}`,
    ),
  ].join('\n')
}

/** The same on one line, for a log. */
export function renderLine(progress: Progress): string {
  const shards = progress.shards.map(({ master, state }) => `${master.split(':').at(-1)} ${state}`)
  return [
    seconds(progress.elapsedMs).padStart(7),
    `completed ${count(progress.completed)} of ${count(progress.tasks)}`,
    `acknowledged ${count(progress.acknowledged)}`,
    `${count(progress.tasksPerSecond)}/s`,
    `longest enqueue ${ms(progress.longestEnqueueMs)}`,
    shards.join(', '),
  ].join('  ')
}

/** Tasks a second over the last moments, from samples taken at any pace. */
export class Rate {
  #samples: { readonly atMs: number; readonly total: number }[] = []

  constructor(private readonly windowMs = 2_000) {}

  sample(atMs: number, total: number): number {
    this.#samples.push({ atMs, total })
    this.#samples = this.#samples.filter((each) => each.atMs >= atMs - this.windowMs)
    const oldest = this.#samples[0]
    if (oldest === undefined || oldest.atMs === atMs) return 0
    return Math.round(((total - oldest.total) * 1000) / (atMs - oldest.atMs))
  }
}

/** Thousands apart, the same in every locale. */
export const count = (value: number) => value.toLocaleString('en-US')
export const ms = (value: number) =>
  value < 10 ? `${value.toFixed(1)} ms` : `${count(Math.round(value))} ms`
export const seconds = (valueMs: number) => `${(valueMs / 1000).toFixed(1)} s`
