import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { patched } from '../mutations/mutation.js'
import { MUTATIONS } from '../mutations/table.js'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const read = (file: string) => readFileSync(join(ROOT, file), 'utf8')
const names = MUTATIONS.map(({ name }) => name)

/** Nothing is run here; that takes `npm run mutations`. */
describe('the table of mutations', () => {
  it('has each name once', () => {
    expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([])
  })

  it('finds each of its texts exactly once in the source', () => {
    const problems: string[] = []
    for (const { name, patches } of MUTATIONS) {
      const texts = new Map<string, string>()
      for (const patch of patches) {
        const before = texts.get(patch.file) ?? read(patch.file)
        try {
          const after = patched(before, patch)
          texts.set(patch.file, after)
          if (after === before) problems.push(`${name} changes nothing`)
        } catch (error) {
          problems.push(`${name}: ${(error as Error).message}`)
        }
      }
    }
    expect(problems).toEqual([])
  })

  it('names tests that are there', () => {
    const files = MUTATIONS.flatMap(({ noticedBy }) => ('files' in noticedBy ? noticedBy.files : []))
    expect(files.filter((file) => !existsSync(join(ROOT, file)))).toEqual([])
  })

  it('was run: docs/mutations.md has a row for each, and no other; if not: npm run mutations -- --only NAME', () => {
    const rows = [...read('docs/mutations.md').matchAll(/^\| `([^`]+)` \| (.+?) \| /gm)]
    expect(rows.map(([, name]) => name)).toEqual(names)
    const said = MUTATIONS.map(({ protects }) => protects.replaceAll('|', '\\|'))
    expect(rows.map(([, , protects]) => protects)).toEqual(said)
  })
})
