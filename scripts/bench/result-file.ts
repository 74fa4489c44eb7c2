import { writeFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import type { BenchRow } from '../../src/bench/index.js'
import { ensureServer } from '../../src/cluster/index.js'

/** What `--out` writes, as JSON: all readings, for plots and for later comparisons. */
export interface ResultFile {
  readonly machine: Machine
  readonly parts: readonly PartResult[]
}

export interface PartResult {
  /** Of the table: what was measured, and on what. */
  readonly title: string
  /** 1 for a single server. */
  readonly masters: number
  readonly rows: readonly BenchRow[]
}

/** Figures are worth nothing without it. */
export interface Machine {
  readonly cores: number
  /** Model, as the system calls it. */
  readonly cpu: string
  /** Versions, without a `v`. */
  readonly node: string
  readonly redis: string
}

/** @throws ServerNotFoundError, ServerInstallError, ServerTooOldError */
export async function thisMachine(): Promise<Machine> {
  const cores = cpus()
  return {
    cores: cores.length,
    cpu: cores[0]?.model.trim() ?? 'unknown',
    node: process.versions.node,
    redis: (await ensureServer()).version,
  }
}

export async function writeResults(path: string, results: ResultFile): Promise<void> {
  await writeFile(path, `${JSON.stringify(results, null, 2)}\n`)
}
