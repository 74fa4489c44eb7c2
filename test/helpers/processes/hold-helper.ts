/** A process that has a server of its own and waits: `hold-helper.ts`. Tells its folder. */

import { startHelper } from '../../../src/cluster/helper-server.js'
import { ensureServer } from '../../../src/cluster/index.js'

const { place } = await startHelper(await ensureServer())
process.send?.(place.dir)
process.on('message', () => undefined)
