import { readdirSync } from 'node:fs'
import { access, readdir, readFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { expectCommand } from './command-lines.js'
import { code, PAGES, page, ROOT } from './markdown.js'

const root = fileURLToPath(ROOT)
const FILES = ['src', 'test', 'scripts'].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((path) => basename(path)),
)

describe.each(PAGES)('%s', (name) => {
  it('links to what is there', async () => {
    for (const [, target] of (await page(name)).matchAll(/\]\(([^)#]+)[^)]*\)/g)) {
      if (!target || /^https?:/.test(target)) continue
      await access(join(root, dirname(name), target))
    }
  })

  it('names files and folders that are there', async () => {
    for (const text of code(await page(name))) {
      for (const [path] of text.matchAll(/\b(?:src|test|docs|scripts|deploy)\/[\w./-]*/g))
        await access(join(root, path))
      if (/^[\w.-]+\.(ts|lua|mjs)$/.test(text)) expect(FILES, text).toContain(text)
    }
  })

  it('names npm scripts, commands and options that there are', async () => {
    const { scripts } = JSON.parse(await page('package.json')) as { scripts: Record<string, string> }
    for (const text of code(await page(name))) {
      const script = /\bnpm run ([\w:-]+)/.exec(text)?.[1]
      if (script) expect(Object.keys(scripts), text).toContain(script)
      // `npm run demo` hands what follows `--` on to `shardq demo`.
      const line =
        /(?:^|\bnpx )shardq (.+)/.exec(text)?.[1] ?? /\bnpm run (demo) -- .+/.exec(text)?.[0].slice(8)
      if (line !== undefined) expectCommand(line)
    }
  })
})

it('every Redis script is headed by its keys, arguments, output and what is atomic', async () => {
  const folder = new URL('src/scripts/', ROOT)
  const files = (await readdir(folder)).filter((file) => file.endsWith('.lua'))
  expect(files.length).toBeGreaterThan(10)
  for (const file of files) {
    const header = (await readFile(new URL(file, folder), 'utf8'))
      .split('\n')
      .filter((line) => line.startsWith('--'))
    for (const part of ['KEYS', 'ARGV', 'Output', 'Atomic']) {
      expect(
        header.some((line) => line.startsWith(`-- ${part}`)),
        `${part} in ${file}`,
      ).toBe(true)
    }
  }
})
