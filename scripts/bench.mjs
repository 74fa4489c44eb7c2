/** `npm run bench`: see scripts/bench/main.ts. shardq is measured as it is published, so it is built first. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { setup } from './setup.mjs'
import { root } from './steps.mjs'

await setup()
const { status } = spawnSync(
  process.execPath,
  ['--import', 'tsx', join(root, 'scripts/bench/main.ts'), ...process.argv.slice(2)],
  { stdio: 'inherit', cwd: root },
)
process.exit(status ?? 1)
