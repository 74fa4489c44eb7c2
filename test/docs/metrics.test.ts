import { expect, inject, onTestFinished, test } from 'vitest'
import { parse } from 'yaml'
import { DEFAULT_PORT } from '../../src/metrics/endpoint.js'
import { startEndpoint } from '../../src/metrics/index.js'
import { CLIENT_FAMILIES, WORKER_FAMILIES } from '../../src/metrics/instrument.js'
import { CLUSTER_FAMILIES, NODE_FAMILIES } from '../../src/metrics/node-families.js'
import type { Family } from '../../src/metrics/observed.js'
import { QUEUE_FAMILIES } from '../../src/metrics/queue-families.js'
import { SCRAPE_FAMILIES } from '../../src/metrics/scrape-families.js'
import { Exposition } from '../helpers/exposition.js'
import { blocks, page } from './markdown.js'

const ENDPOINT = { ...NODE_FAMILIES, ...CLUSTER_FAMILIES, ...SCRAPE_FAMILIES, ...QUEUE_FAMILIES }
const PROGRAM = { ...WORKER_FAMILIES, ...CLIENT_FAMILIES }

interface Row {
  readonly name: string
  readonly type: string
  readonly labels: readonly string[]
  readonly meaning: string
}

async function rows(): Promise<Row[]> {
  const lines = [...(await page('docs/metrics.md')).matchAll(/^\| `(\w+)` \| (\w+) \| ([^|]*)\| (.+) \|$/gm)]
  return lines.map(([, name = '', type = '', labels = '', meaning = '']) => ({
    name,
    type,
    labels: [...labels.matchAll(/`(\w+)`/g)].map(([, label]) => label ?? ''),
    meaning,
  }))
}

test('the tables have every metric, its type, its labels and what it means', async () => {
  const families = Object.entries<Family>({ ...ENDPOINT, ...PROGRAM })
  expect(await rows()).toEqual(
    families.map(([name, { type, labels, help }]) => ({ name, type, labels, meaning: help })),
  )
})

test('the endpoint gives what the tables say of it, under labels that they name', async () => {
  const connection = { mode: 'cluster', nodes: inject('cluster').nodes } as const
  const endpoint = await startEndpoint({ connection, port: 0 })
  onTestFinished(() => endpoint.close())
  const found = await Exposition.of(endpoint.url)
  const told = (await rows()).filter(({ name }) => !(name in PROGRAM))
  expect([...found.types]).toEqual(expect.arrayContaining(told.map(({ name, type }) => [name, type])))
  expect(found.types.size).toBe(told.length)
  for (const { name, type, labels } of told) {
    const samples = type === 'histogram' ? found.all(`${name}_count`) : found.all(name)
    for (const sample of samples) expect(new Set(Object.keys(sample.labels)), name).toEqual(new Set(labels))
    // A queue may not be there at the moment; a healthy cluster, with masters and replicas, is.
    if (!name.startsWith('task_queue_')) expect(samples.length, name).toBeGreaterThan(0)
  }
})

test('the settings for Prometheus fit the endpoint', async () => {
  const [yaml = ''] = blocks(await page('docs/metrics.md'), 'yaml')
  expect(parse(yaml)).toEqual({
    scrape_configs: [
      {
        job_name: 'shardq',
        honor_labels: true,
        static_configs: [{ targets: [`127.0.0.1:${DEFAULT_PORT}`] }],
      },
    ],
  })
})
