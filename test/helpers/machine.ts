import { readdir, readFile } from 'node:fs/promises'
import { freePorts } from '../../src/cluster/index.js'
import { isPortFree } from '../../src/cluster/ports.js'

/** The first of so many ports that are free, for `--base-port`. */
export async function consecutivePorts(count: number): Promise<number> {
  for (;;) {
    const [base = 0] = await freePorts(1)
    const next = await Promise.all(Array.from({ length: count }, (_, i) => isPortFree(base + i)))
    if (next.every(Boolean)) return base
  }
}

/** Of every process that there is; none where the system does not tell. */
export async function commandLines(): Promise<string[]> {
  const pids = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name))
  return Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')))
}
