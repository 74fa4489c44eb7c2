/** `npm run demo`: sets everything up, then runs the demo with the arguments that follow `--`. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { setup } from './setup.mjs'
import { root } from './steps.mjs'

await setup()
const demo = spawn(process.execPath, [join(root, 'dist/cli/main.js'), 'demo', ...process.argv.slice(2)], {
  stdio: 'inherit',
})
// Ctrl-C on a terminal reaches the demo by itself, and it cleans up; we only have to wait for it. A signal sent
// to this process alone is handed on.
process.on('SIGINT', () => {})
process.on('SIGTERM', () => demo.kill('SIGTERM'))
demo.once('exit', (code) => process.exit(code ?? 1))
