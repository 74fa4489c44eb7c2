import { readdirSync } from 'node:fs'
import { readFile } from 'node:fs/promises'

export const ROOT = new URL('../../', import.meta.url)

const DECISIONS = readdirSync(new URL('docs/decisions/', ROOT)).map((file) => `docs/decisions/${file}`)

export const RUNBOOKS = readdirSync(new URL('docs/runbooks/', ROOT)).map((file) => `docs/runbooks/${file}`)

export const PAGES = [
  'README.md',
  'CONTRIBUTING.md',
  'CHANGELOG.md',
  'docs/architecture.md',
  'docs/backup.md',
  'docs/checks.md',
  'docs/failover.md',
  'docs/growing.md',
  'docs/hosts.md',
  'docs/managed.md',
  'docs/operating.md',
  'docs/metrics.md',
  'docs/monitoring.md',
  'docs/protocol.md',
  'docs/security.md',
  'docs/users.md',
  'docs/upgrading.md',
  ...DECISIONS,
  ...RUNBOOKS,
]

export function page(name: string): Promise<string> {
  return readFile(new URL(name, ROOT), 'utf8')
}

/** The fenced blocks of one language. */
export function blocks(text: string, language: string): string[] {
  return [...text.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)]
    .filter(([, name]) => name === language)
    .map(([, , body]) => body ?? '')
}

/** All that stands as code: spans within lines, and the lines of shell blocks, without their comments. */
export function code(text: string): string[] {
  const prose = text.replaceAll(/^```[\s\S]*?^```$/gm, '')
  const spans = [...prose.matchAll(/`([^`]+)`/g)].map(([, span]) => (span ?? '').replaceAll(/\s+/g, ' '))
  const lines = blocks(text, 'sh').flatMap((block) => block.split('\n'))
  return [...spans, ...lines.map((line) => line.replace(/\s+#.*$/, ''))]
}
