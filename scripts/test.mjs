/**
 * `npm test`: sets everything up, then checks format and lint, types, and runs every test; stops at the first
 * that fails. With arguments only the tests that they name are run: `npm test -- test/unit`.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findPrometheus, setup } from './setup.mjs'
import { node, root, step } from './steps.mjs'

const bin = (path) => join(root, 'node_modules', path)

await setup()
await findPrometheus()
// `biome ci` colours its output even into a file.
const colors = process.stdout.isTTY ? [] : ['--colors=off']
await step('format and lint', () => node(bin('@biomejs/biome/bin/biome'), 'ci', ...colors))
await step('types', () => node(bin('typescript/bin/tsc'), '--noEmit'))

const folder = mkdtempSync(join(tmpdir(), 'shardq-report-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
await step('tests', () => {
  const report = join(folder, 'report.json')
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
  try {
    node(bin('vitest/vitest.mjs'), 'run', ...reporters, ...process.argv.slice(2))
  } finally {
    printCount(report)
  }
})

/** One line that is easily found among everything that tests print. */
function printCount(report) {
  try {
    const { numPassedTests, numFailedTests, numPendingTests } = JSON.parse(readFileSync(report, 'utf8'))
    const skipped = numPendingTests > 0 ? `, ${numPendingTests} skipped` : ''
    console.log(`tests: ${numPassedTests} passed, ${numFailedTests} failed${skipped}`)
  } catch {
    console.log('tests: none were run')
  }
}
