import { lstat, mkdir, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { makeFolder } from '../../../src/cluster/make-folder.js'
import { tempDir } from '../../helpers/temp-dir.js'

const modeOf = async (path: string) => (await stat(path)).mode & 0o777

it('makes a folder and those above it for its owner alone, and tells the first', async () => {
  const dir = await tempDir()
  expect(await makeFolder(join(dir, 'a', 'b', 'c'))).toBe(join(dir, 'a'))
  for (const made of ['a', 'a/b', 'a/b/c']) expect(await modeOf(join(dir, made))).toBe(0o700)
  expect(await makeFolder(join(dir, 'a', 'b', 'c'))).toBeUndefined()
  expect(await makeFolder(join(dir, 'a', 'd'))).toBe(join(dir, 'a', 'd'))
})

it('made twice at once, it is there, and each folder is one caller’s', async () => {
  const dir = await tempDir()
  const path = join(dir, 'a', 'b')
  await Promise.all(Array.from({ length: 8 }, () => makeFolder(path)))
  expect((await stat(path)).isDirectory()).toBe(true)
})

it('a file in its place, or above it, is named; a link is followed, and one to nothing named', async () => {
  const dir = await tempDir()
  const file = join(dir, 'file')
  await writeFile(file, 'dear')
  await expect(makeFolder(file)).rejects.toThrow(`EEXIST: file already exists, mkdir '${file}'`)
  await expect(makeFolder(join(file, 'in', 'it'))).rejects.toThrow(/ENOTDIR: .*file/)
  await mkdir(join(dir, 'real'))
  await symlink('real', join(dir, 'link'))
  expect(await makeFolder(join(dir, 'link', 'new'))).toBe(join(dir, 'link', 'new'))
  expect(await modeOf(join(dir, 'real', 'new'))).toBe(0o700)
  const loose = join(dir, 'loose')
  await symlink('nowhere', loose)
  for (const path of [loose, join(loose, 'in', 'it')])
    await expect(makeFolder(path)).rejects.toThrow(`EEXIST: file already exists, mkdir '${loose}'`)
  await expect(lstat(join(dir, 'nowhere'))).rejects.toThrow('ENOENT')
})
