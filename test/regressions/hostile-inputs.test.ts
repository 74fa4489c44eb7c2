import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startEndpoint } from '../../src/metrics/index.js'
import { Exposition } from '../helpers/exposition.js'
import { commandNames, FORMS, Runner } from '../helpers/hostile-commands.js'
import { feedServers, INPUTS, MIXED, WAITING } from '../helpers/hostile-inputs.js'
import { faultsOf } from '../helpers/hostile-output.js'
import { lyingCluster } from '../helpers/lying-cluster.js'
import { tempDir } from '../helpers/temp-dir.js'

it('the table has what every command reads, and knows no other', () => {
  expect(Object.keys(INPUTS).sort()).toEqual(commandNames().sort())
})

/** The others, each input with errors besides, and files: test/regressions/long/hostile-inputs.test.ts. */
describe('a cluster whose every text is hostile', () => {
  let runners: readonly Runner[] = []
  beforeAll(async () => {
    runners = await Promise.all(FORMS.map((form) => Runner.start(form)))
  })
  afterAll(() => {
    for (const runner of runners) runner.stop()
  })

  it.each(Object.keys(INPUTS).filter((name) => !WAITING.includes(name)))(
    'has nothing carried out by shardq %s',
    async (name) => {
      const { faults } = await feedServers(name, runners, await tempDir(), { most: 1 })
      expect(faults).toEqual([])
    },
  )
})

describe('the metrics of such a cluster', () => {
  const endpointOf = async (refuses: readonly string[]) => {
    const { nodes } = await lyingCluster(MIXED, { refuses })
    return startEndpoint({ connection: { mode: 'cluster', nodes }, port: 0 })
  }

  it('can be read by Prometheus', async () => {
    const endpoint = await endpointOf([])
    try {
      const exposition = await Exposition.of(endpoint.url)
      expect(exposition.values('redis_up')).toEqual([1, 1, 1, 1])
    } finally {
      await endpoint.close()
    }
  })

  it('are not ready for a reason that nothing is carried out of', async () => {
    const endpoint = await endpointOf(['INFO'])
    try {
      const response = await fetch(`${endpoint.url}/readyz`)
      const stdout = await response.text()
      expect(stdout).toContain('OWNED')
      expect(faultsOf({ stdout, stderr: '' }, 'text')).toEqual([])
    } finally {
      await endpoint.close()
    }
  })
})
