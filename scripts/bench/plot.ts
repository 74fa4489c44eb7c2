/**
 * `npm run plots [-- --from FOLDER] [--to FOLDER]`: draws what `npm run bench -- --part PART --out FOLDER/PART.json` has
 * measured. Both folders are docs/plots by default; a part that was not measured is left out.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { readResults } from './plot/results.js'
import { PLOTS, svgOf } from './plots.js'

const FOLDER = relative('.', fileURLToPath(new URL('../../docs/plots', import.meta.url)))
const { values: flags } = parseArgs({
  options: { from: { type: 'string', default: FOLDER }, to: { type: 'string', default: FOLDER } },
})

let drawn = 0
for (const plot of PLOTS) {
  const input = join(flags.from, `${plot.part}.json`)
  const results = await readResults(input)
  if (!results) {
    console.log(`${plot.file}: not drawn, there is no ${input}`)
    continue
  }
  const output = join(flags.to, plot.file)
  await mkdir(flags.to, { recursive: true })
  await writeFile(output, svgOf(plot, results))
  console.log(`${plot.file}: drawn from ${input}, written to ${output}`)
  drawn++
}
if (drawn === 0) {
  console.error(
    `Nothing to draw. Measure first, for example: npm run bench -- --out ${join(flags.from, 'peers.json')}`,
  )
  process.exitCode = 1
}
