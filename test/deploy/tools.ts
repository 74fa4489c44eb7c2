import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { parse } from 'yaml'
import { ensureMonitoring } from '../../scripts/find-prometheus.js'

export const DEPLOY = fileURLToPath(new URL('../../deploy/', import.meta.url))

/** A machine without them gets them, as it gets a Redis server; where that cannot be, every test that asks fails. */
export const monitoring = () => ensureMonitoring()

export interface Result {
  readonly code: number
  readonly output: string
}

/** Runs a tool in deploy/. */
export async function tool(name: 'promtool' | 'amtool', ...args: readonly string[]): Promise<Result> {
  const program = (await monitoring())[name]
  try {
    const { stdout, stderr } = await promisify(execFile)(program, args, { cwd: DEPLOY })
    return { code: 0, output: stdout + stderr }
  } catch (error) {
    const { code, stdout, stderr } = error as { code: unknown; stdout: string; stderr: string }
    if (typeof code !== 'number') throw error
    return { code, output: stdout + stderr }
  }
}

export interface Rule {
  readonly alert: string
  readonly expr: string
  readonly for?: string
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
}

export interface Rules {
  readonly groups: readonly { readonly name: string; readonly rules: readonly Rule[] }[]
}

export const alertRules = async (): Promise<Rules> =>
  parse(await readFile(`${DEPLOY}prometheus/alerts.yaml`, 'utf8')) as Rules
