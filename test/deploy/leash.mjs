/**
 * Runs a program that does not outlive its test, however that ends: when the pipe on our standard input breaks, which no death
 * of the test can prevent, the program is ended.
 */
import { spawn } from 'node:child_process'

const [program, ...args] = process.argv.slice(2)
const child = spawn(program, args, { stdio: ['ignore', 'inherit', 'inherit'] })
child.once('exit', (code) => process.exit(code ?? 1))
child.once('error', (error) => {
  console.error(error.message)
  process.exit(1)
})
process.stdin.resume()
process.stdin.once('close', () => child.kill('SIGKILL'))
