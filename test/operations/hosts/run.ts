import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { canHaveOwnNetwork, spawnInOwnNetwork } from '../../../scripts/own-network.mjs'

const MAIN = fileURLToPath(new URL('main.ts', import.meta.url))

/** Said, and not passed over: who runs the tests has to know what they have not shown. */
const WITHOUT = 'NOT RUN: NETWORK NAMESPACES ARE NEEDED (Linux with iproute2, and root or user namespaces)'

/**
 * Runs a scenario on hosts of their own, in a network that ends with them; where the system does not permit one, says so.
 * @returns what it said
 * @throws with all that it said, when it fails
 */
export async function onOwnHosts(name: string): Promise<string> {
  if (!canHaveOwnNetwork()) {
    console.warn(`${name}: ${WITHOUT}`)
    return WITHOUT
  }
  const child = spawnInOwnNetwork(process.execPath, ['--import', 'tsx', MAIN, name], process.env, 'pipe')
  let said = ''
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
  const [code] = await once(child, 'close')
  if (code !== 0) throw new Error(`exit code ${code}\n${said}`)
  return said
}
