import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { ServerInstallError, ServerNotFoundError } from '../../../src/cluster/errors.js'
import { ensureServer } from '../../../src/cluster/find-server.js'
import { InvalidOptionError } from '../../../src/errors.js'
import { systemWith } from '../../helpers/fake-system.js'

const INSTALLS = `[ "$*" = "add --no-cache redis" ] || exit 9
cd "\${0%/*}"
printf '#!/bin/sh\\necho "Redis server v=7.4.1 sha=0"\\n' > redis-server
/bin/chmod +x redis-server`

describe.skipIf(process.platform === 'win32')('ensureServer', () => {
  test('installs the system’s package where there is no server, and says so first', async () => {
    const { dir, env } = await systemWith(INSTALLS)
    const told: string[] = []
    const server = await ensureServer({ env, onInstall: (command) => told.push(command) })
    expect(server).toEqual({ path: join(dir, 'redis-server'), flavour: 'Redis', version: '7.4.1' })
    expect(told).toEqual(['apk add redis'])
    await ensureServer({ env, onInstall: (command) => told.push(command) })
    expect(told).toHaveLength(1)
  })

  test('a package manager that fails: the error has its last words and the command', async () => {
    const { env } = await systemWith('echo "no network" >&2; exit 4')
    const failed = ensureServer({ env })
    await expect(failed).rejects.toThrow(ServerInstallError)
    await expect(failed).rejects.toThrow(/apk add redis\n.*no network/s)
  })

  test('no package manager that we know', async () => {
    const { env } = await systemWith(null)
    await expect(ensureServer({ env })).rejects.toThrow(ServerNotFoundError)
  })

  test('a wrong path is an error, not a reason to install something', async () => {
    const { dir, env } = await systemWith(INSTALLS)
    const ensured = ensureServer({ redisPath: join(dir, 'missing'), env })
    await expect(ensured).rejects.toThrow(InvalidOptionError)
  })
})
