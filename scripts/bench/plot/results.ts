import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { type BenchRow, type Summary, summarise } from '../../../src/bench/index.js'
import type { Figure } from '../../../src/bench/report.js'

export interface BenchPart {
  readonly title: string
  readonly masters: number
  readonly rows: readonly BenchRow[]
}

/** What `npm run bench -- --out FILE` writes. */
export interface BenchResults {
  readonly machine: {
    readonly cores: number
    readonly cpu: string
    readonly node: string
    readonly redis: string
  }
  readonly parts: readonly BenchPart[]
}

/** As far as plots rely on it: a file of another version must be refused, not drawn as an empty page. */
const RESULTS = z.object({
  machine: z.object({ cores: z.number(), cpu: z.string(), node: z.string(), redis: z.string() }),
  parts: z.array(
    z.object({
      title: z.string(),
      masters: z.number(),
      rows: z.array(
        z.object({
          measure: z.looseObject({ kind: z.string(), bytes: z.number() }),
          contender: z.string(),
          readings: z.array(
            z.looseObject({ perSecond: z.number(), clientUs: z.number(), masterUs: z.number() }),
          ),
        }),
      ),
    }),
  ),
})

/** undefined where there is no such file. @throws what is wrong with its content, by file and path */
export async function readResults(file: string): Promise<BenchResults | undefined> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  try {
    return RESULTS.parse(JSON.parse(text)) as unknown as BenchResults
  } catch (error) {
    const what = error instanceof z.ZodError ? z.prettifyError(error) : String(error)
    throw new Error(`${file} is not what the bench writes:\n${what}`, { cause: error })
  }
}

export interface Row extends BenchRow {
  readonly masters: number
}

export function rowsOf({ parts }: BenchResults): Row[] {
  return parts.flatMap(({ masters, rows }) => rows.map((row) => ({ ...row, masters })))
}

/** What a bar or a point stands for: a name or a number, and what was measured there. */
export interface Mark<At> extends Summary {
  readonly at: At
}

/** Nothing where the row has no reading. */
export function markOf<At>(at: At, row: BenchRow, figure: Figure): Mark<At>[] {
  const summary = summarise(row.readings, figure)
  return summary ? [{ at, ...summary }] : []
}

/** How many readings a median is of: `5 readings`, or `3 to 5 readings`. */
export function readingsOf(rows: readonly BenchRow[]): string {
  const counts = rows.map(({ readings }) => readings.length)
  const [least, most] = [Math.min(...counts), Math.max(...counts)]
  return `${least === most ? '' : `${least} to `}${most} reading${most === 1 ? '' : 's'}`
}
