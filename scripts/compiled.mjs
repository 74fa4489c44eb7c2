import { copyFileSync, cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { isFolderOrLua } from './build.mjs'
import { node, root } from './steps.mjs'

/** In a folder of this one, so that packages are found. */
const OUT = join(root, '.shardq/compiled')

/** Compiles src and test, for suites that start thousands of processes. @returns the compiled form of a file of this repository */
export function compile() {
  rmSync(OUT, { recursive: true, force: true })
  node(
    join(root, 'node_modules/typescript/bin/tsc'),
    ...['-p', 'tsconfig.json', '--noEmit', 'false', '--outDir', OUT],
  )
  cpSync(join(root, 'src'), join(OUT, 'src'), { recursive: true, filter: isFolderOrLua })
  copyFileSync(join(root, 'package.json'), join(OUT, 'package.json'))
  return (file) => join(OUT, file.replace(/\.ts$/, '.js'))
}
