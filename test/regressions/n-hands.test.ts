import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { CommandHands } from '../../src/cluster/rolling/hands.js'
import { InvalidOptionError } from '../../src/index.js'
import { tempDir } from '../helpers/temp-dir.js'

const node = (told: { id?: string; host?: string }) => ({
  id: 'a'.repeat(40),
  host: '127.0.0.1',
  port: 7_000,
  name: '127.0.0.1:7000',
  role: 'replica' as const,
  up: true,
  runId: null,
  server: null,
  executable: null,
  ...told,
})

/** That no view of a cluster tells of such a node is seen to elsewhere (f-hostile); the shell is not to depend on that. */
it('an id that is meant for the shell of --restart-command does not get there', async () => {
  const file = join(await tempDir(), 'PWNED')
  const hands = new CommandHands('echo restart {id}')
  const hostile = node({ id: `$(touch\${IFS}"${file}")` })
  expect(() => hands.words(hostile)).toThrow(InvalidOptionError)
  await expect(hands.restart(hostile, undefined)).rejects.toThrow('nothing to give to a shell')
  expect(existsSync(file)).toBe(false)
})

it.each(['-oProxyCommand', '--', '-V', 'a b', '$(x)', ''])(
  'a host that ssh would take for an option, or the shell for a command, %j, does not get there',
  (host) => {
    const hands = new CommandHands('ssh {host} systemctl restart redis@{port}')
    expect(() => hands.words(node({ host }))).toThrow(JSON.stringify(host))
  },
)

it.each(['127.0.0.1', '2001:db8::1', 'redis-1.example.com'])('an ordinary host, %s, does', async (host) => {
  const file = join(await tempDir(), 'ran')
  const hands = new CommandHands(`echo {host} {id} {port} > '${file}'`)
  await hands.restart(node({ host }), undefined)
  expect(existsSync(file)).toBe(true)
})
