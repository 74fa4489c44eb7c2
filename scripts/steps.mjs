/** Plain Node, no dependencies: these scripts run before anything is installed. */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('..', import.meta.url))

/** Runs one named step, prints its time, and ends this process with the step's code when it fails. */
export async function step(name, action) {
  const started = performance.now()
  try {
    await action()
  } catch (error) {
    console.error(`✗ ${name} failed after ${seconds(started)} s: ${error.message}`)
    process.exit(error.exitCode ?? 1)
  }
  console.log(`✓ ${name} (${seconds(started)} s)`)
}

const seconds = (started) => ((performance.now() - started) / 1000).toFixed(1)

/** Runs a program to its end with our own input and output. Throws when it fails. */
export function run(program, args, options = {}) {
  const result = spawnSync(program, args, { cwd: root, stdio: 'inherit', ...options })
  if (result.error) throw result.error
  if (result.status === 0) return
  const how = result.signal ? `ended by ${result.signal}` : `exit code ${result.status}`
  throw Object.assign(new Error(`${program}: ${how}`), { exitCode: result.status ?? 1 })
}

/** Runs npm; on Windows it is a script, which only a shell can start. */
export const npm = (...args) => run('npm', args, { shell: process.platform === 'win32' })

/** Runs the JavaScript behind a command of an installed package, without a shell in between. */
export const node = (script, ...args) => run(process.execPath, [script, ...args])
