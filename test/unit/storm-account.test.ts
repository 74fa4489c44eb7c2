import { appendFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { check } from '../../src/ledger/index.js'
import { Books } from '../chaos/storm/books.js'
import { judge } from '../chaos/storm/judge.js'

describe('the account of a storm', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'shardq-books-'))
  })
  afterEach(() => {
    rmSync(folder, { recursive: true, force: true })
  })

  it('has something against an account that holds no task', () => {
    const found = judge(check([]), () => false)
    expect(found.map(({ what }) => what)).toEqual(['no task was acknowledged, so nothing was shown'])
  })

  it('reads again what one unreadable ledger kept it from giving', () => {
    const books = new Books(folder)
    const [good, bad] = [books.path('good'), books.path('bad')]
    appendFileSync(good, '{"atMs":1,"by":"good","what":"enqueue","token":"a"}\n')
    appendFileSync(bad, '{"atMs":1,\n')
    expect(() => books.news()).toThrow(SyntaxError)
    rmSync(bad)
    expect(books.news()).toEqual([{ atMs: 1, by: 'good', what: 'enqueue', token: 'a' }])
    expect(books.news()).toEqual([])
  })
})
