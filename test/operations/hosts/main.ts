/** What runs in a network of its own: `run.ts` starts it there. Its argument is the name of a scenario. */
import { SCENARIOS } from './scenarios.js'

const name = process.argv[2] ?? ''
const scenario = SCENARIOS[name]
if (!scenario) throw new Error(`no such scenario: ${name}; there are: ${Object.keys(SCENARIOS).join(', ')}`)
await scenario()
