import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { ensureMonitoring } from '../../scripts/find-prometheus.js'
import { ServerInstallError } from '../../src/cluster/errors.js'
import { systemWith } from '../helpers/fake-system.js'

const installing = (...names: string[]) => `[ "$*" = "add --no-cache prometheus alertmanager" ] || exit 9
cd "\${0%/*}"
for name in ${names.join(' ')}; do printf '#!/bin/sh\\n' > $name; /bin/chmod +x $name; done`

describe.skipIf(process.platform === 'win32')('ensureMonitoring', () => {
  test('installs the system’s packages where there are none, says so first, and only once', async () => {
    const { dir, env } = await systemWith(installing('prometheus', 'promtool', 'alertmanager', 'amtool'))
    const told: string[] = []
    const onInstall = (command: string) => told.push(command)
    expect(await ensureMonitoring({ env, onInstall })).toEqual({
      prometheus: join(dir, 'prometheus'),
      promtool: join(dir, 'promtool'),
      alertmanager: join(dir, 'alertmanager'),
      amtool: join(dir, 'amtool'),
    })
    await ensureMonitoring({ env, onInstall })
    expect(told).toEqual(['apk add prometheus alertmanager'])
  })

  test('knows Alertmanager by its Debian name', async () => {
    const { dir, env } = await systemWith(
      installing('prometheus', 'promtool', 'prometheus-alertmanager', 'amtool'),
    )
    const { alertmanager } = await ensureMonitoring({ env })
    expect(alertmanager).toBe(join(dir, 'prometheus-alertmanager'))
  })

  test('what is missing still after an install is named, with what to type', async () => {
    const { env } = await systemWith(installing('prometheus', 'promtool', 'alertmanager'))
    await expect(ensureMonitoring({ env })).rejects.toThrow(/need amtool.*apk add prometheus alertmanager/s)
  })

  test('a package manager that fails: the error says what was to be installed', async () => {
    const { env } = await systemWith('echo "no network" >&2; exit 4')
    const failed = ensureMonitoring({ env })
    await expect(failed).rejects.toThrow(ServerInstallError)
    await expect(failed).rejects.toThrow(/could not install Prometheus and Alertmanager.*no network/s)
  })
})
