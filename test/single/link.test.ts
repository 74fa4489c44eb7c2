import { expect, it, onTestFinished } from 'vitest'
import { ConnectionLostError } from '../../src/cluster/errors.js'
import { NodeLink } from '../../src/cluster/link.js'
import { startSingle } from '../../src/cluster/single.js'

it('a connection that broke before its first command fails soon, however long the command may take', async () => {
  const server = await startSingle()
  onTestFinished(() => server.stop())
  const link = await NodeLink.open(server, { timeoutMs: 60_000 })
  const other = await NodeLink.open(server)
  await other.text('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
  other.close()
  // Its reason is asked for at the server, which has nothing to say.
  await expect(link.text('PING')).rejects.toThrow(ConnectionLostError)
}, 10_000)
