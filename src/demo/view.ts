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
  /** Tasks acknowledged in each of the last half seconds, oldest first: the producer's line. */
  readonly producer: readonly number[]
  readonly longestEnqueueMs: number
  readonly shards: readonly ShardLine[]
}

const BAR_CELLS = 30

/** The live view of a terminal. */
export function renderLive(progress: Progress, colors: Colors): string[] {
  const { tasks, acknowledged, completed } = progress
  const filled = Math.floor((completed / tasks) * BAR_CELLS)
  const bar = colors.cyan('█'.repeat(filled)) + colors.dim('░'.repeat(BAR_CELLS - filled))
  const paint = { ok: colors.green, degraded: colors.yellow, down: colors.red }
  return [
    '',
    `  ${bar} ${count(completed)} of ${count(tasks)} back-tests   ${colors.bold(count(progress.tasksPerSecond))}/s`,
    `  acknowledged ${count(acknowledged)}   longest enqueue ${ms(progress.longestEnqueueMs)}   ${seconds(progress.elapsedMs)}`,
    `  producer ${colors.cyan(line(progress.producer))} ${count(lastSecond(progress.producer))}/s`,
    '',
    ...progress.shards.map(
      ({ master, state, remark }) => `  ${paint[state]('●')} ${master.padEnd(16)} ${paint[state](remark)}`,
    ),
  ]
}

/** The same on one line, for a log. */
export function renderLine(progress: Progress): string {
  const shards = progress.shards.map(({ master, state }) => `${master.split(':').at(-1)} ${state}`)
  return [
    seconds(progress.elapsedMs).padStart(7),
    `completed ${count(progress.completed)} of ${count(progress.tasks)}`,
    `acknowledged ${count(progress.acknowledged)}, ${count(lastSecond(progress.producer))}/s`,
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

const SLOT_MS = 500
const SLOTS = 40

/** What was added in each of the last half seconds, from a total that is looked at any number of times. */
export class Trace {
  #slots: number[] = []
  #slot: { readonly endsMs: number; readonly total: number } | undefined

  sample(atMs: number, total: number): readonly number[] {
    this.#slot ??= { endsMs: atMs + SLOT_MS, total }
    while (atMs >= this.#slot.endsMs) {
      this.#slots = [...this.#slots, total - this.#slot.total].slice(-SLOTS)
      this.#slot = { endsMs: this.#slot.endsMs + SLOT_MS, total }
    }
    return this.#slots
  }
}

/** Bars as high as the values, the highest being full. */
function line(values: readonly number[]): string {
  const most = Math.max(1, ...values)
  return values.map((value) => ' ▁▂▃▄▅▆▇█'.charAt(Math.ceil((value / most) * 8))).join('')
}

const lastSecond = (slots: readonly number[]) => slots.slice(-2).reduce((sum, each) => sum + each, 0)

/** Thousands apart, the same in every locale. */
export const count = (value: number) => value.toLocaleString('en-US')
export const ms = (value: number) =>
  value < 10 ? `${value.toFixed(1)} ms` : `${count(Math.round(value))} ms`
export const seconds = (valueMs: number) => `${(valueMs / 1000).toFixed(1)} s`
