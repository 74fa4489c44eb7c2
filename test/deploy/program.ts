import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { type Address, inspect } from '../../src/cluster/index.js'
import { eventually } from '../helpers/behaviour/harness.js'

const LEASH = fileURLToPath(new URL('leash.mjs', import.meta.url))

export interface Program {
  stop(): Promise<void>
}

/**
 * Starts a server that speaks HTTP, and waits until it answers 200 at `readyPath`.
 * @throws Error with what it printed, if it ends before
 */
export async function startProgram(
  program: string,
  args: readonly string[],
  url: string,
  readyPath: string,
): Promise<Program> {
  return start(program, args, async () => {
    const { ok, status } = await fetch(`${url}${readyPath}`)
    if (!ok) throw new Error(`${url}${readyPath} answers ${status}`)
  })
}

/** Starts a Redis server, and waits until it answers. */
export async function startServer(path: string, args: readonly string[], address: Address): Promise<Program> {
  return start(path, args, async () => {
    await inspect(address)
  })
}

/** @param answers throws as long as it does not */
async function start(
  program: string,
  args: readonly string[],
  answers: () => Promise<void>,
): Promise<Program> {
  const child = spawn(process.execPath, [LEASH, program, ...args], { stdio: ['pipe', 'pipe', 'pipe'] })
  const closed = once(child, 'close')
  let printed = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      printed = (printed + text).slice(-10_000)
    })
  const stop = async () => {
    child.stdin.end()
    await closed
  }
  try {
    await eventually(async () => {
      if (child.exitCode === null) await answers()
    }, 30_000)
    if (child.exitCode !== null) throw new Error(`exit code ${child.exitCode}`)
  } catch (error) {
    await stop()
    throw new Error(`${program} did not start:\n${printed}`, { cause: error })
  }
  return { stop }
}
