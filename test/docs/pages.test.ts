import { access, readdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Command } from 'commander'
import { describe, expect, it } from 'vitest'
import { createProgram } from '../../src/cli/program.js'
import { blocks, PAGES, page, ROOT } from './markdown.js'

const root = fileURLToPath(ROOT)

describe.each(PAGES)('%s', (name) => {
  it('links to what is there', async () => {
    for (const [, target] of (await page(name)).matchAll(/\]\(([^)#]+)[^)]*\)/g)) {
      if (!target || /^https?:/.test(target)) continue
      await access(join(root, dirname(name), target))
    }
  })

  it('names files and folders that are there', async () => {
    for (const [, path] of (await page(name)).matchAll(/`((?:src|test|docs|scripts)\/[\w./-]+)`/g)) {
      await access(join(root, path ?? ''))
    }
  })

  it('names commands that there are', async () => {
    const { scripts } = JSON.parse(await page('package.json')) as { scripts: Record<string, string> }
    const text = await page(name)
    for (const [, script] of text.matchAll(/npm run ([\w:-]+)/g))
      expect(Object.keys(scripts)).toContain(script)
    for (const line of blocks(text, 'sh').join('\n').split('\n')) {
      const words = /^npx shardq ([a-z ]+)/.exec(line)?.[1]?.trim().split(' ')
      let command: Command | undefined = createProgram()
      for (const word of words ?? []) {
        command = command?.commands.find((one) => one.name() === word)
        expect(command, line).toBeDefined()
      }
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
