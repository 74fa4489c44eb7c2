import { readdirSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { expect, it } from 'vitest'

const FOLDERS = ['check', 'doctor'].map((folder) => new URL(`../../../src/${folder}/`, import.meta.url))
const files = FOLDERS.flatMap((folder) =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => ({ path, text: readFileSync(new URL(path, folder), 'utf8') })),
)

it('nothing of check and doctor can speak to a server but the observer, the reader and the knock', () => {
  expect(files.length).toBeGreaterThan(20)
  for (const { path, text } of files) {
    const speaks = /\b(NodeLink|withLink|ioredis|\.reply\(|\.text\(|redis\.call|socket\.write)/.test(text)
    expect(speaks, path).toBe(['reader.ts', 'knock.ts'].includes(basename(path)))
  }
})

it('the knock says PING and nothing else', () => {
  const knock = files.find(({ path }) => path === 'knock.ts')?.text ?? ''
  expect([...knock.matchAll(/socket\.write\((.*)\)/g)].map(([, said]) => said)).toEqual([`'PING\\r\\n'`])
})
