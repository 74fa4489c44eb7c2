/**
 * `npm run operations:pairs [-- --pairs 200 --seed N --at-once M --redis-path PATH --keep-going]`: two operators at once, with a queue and an
 * application of somebody else at work; nothing may be lost, and every refusal has to be explained.
 */
import { compile } from './compiled.mjs'
import { setup } from './setup.mjs'
import { node, step } from './steps.mjs'

await setup()
const compiled = compile()
await step('two operators at once', () =>
  node(compiled('test/operations/pairs/main.ts'), ...process.argv.slice(2)),
)
