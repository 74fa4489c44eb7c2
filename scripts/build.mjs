/** `npm run build`: compiles src into dist, and puts beside it what the compiler leaves out. */
import { chmodSync, copyFileSync, cpSync, existsSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { node, root } from './steps.mjs'

export function build() {
  const dist = join(root, 'dist')
  rmSync(dist, { recursive: true, force: true })
  node(join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.build.json')
  // The Lua scripts lie beside their callers, in dist as in src.
  cpSync(join(root, 'src'), dist, { recursive: true, filter: isFolderOrLua })
  const main = join(dist, 'cli/main.js')
  if (existsSync(main)) chmodSync(main, 0o755)
  // Last: setup.mjs knows by this file that the build came to its end.
  mkdirSync(join(dist, 'demo'), { recursive: true })
  copyFileSync(
    join(root, 'node_modules/vega-datasets/data/sp500-2000.csv'),
    join(dist, 'demo/sp500-2000.csv'),
  )
}

export const isFolderOrLua = (path) => path.endsWith('.lua') || !/\.[a-z]+$/.test(path)

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  try {
    build()
  } catch (error) {
    console.error(`build failed: ${error.message}`)
    process.exit(1)
  }
}
