import { readdir, readFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { LocalCluster } from '../../src/cluster/index.js'
import { type Load, startLoad } from '../deploy/load.js'
import { type Monitoring, startMonitoring } from '../deploy/monitoring.js'
import { DEPLOY } from '../deploy/tools.js'
import { eventually } from '../helpers/behaviour/harness.js'
import { openCluster } from '../helpers/own-cluster.js'

/** The tests go on from each other, in order: a healthy cluster under load, a dead master, its return. */
describe('a real Prometheus, with the shipped files, on a real cluster', () => {
  const closers: (() => Promise<unknown>)[] = []
  let cluster: LocalCluster
  let watch: Monitoring
  let load: Load
  let watchedFromMs = 0

  beforeAll(async () => {
    // Longer than this machine may be too busy to answer, or a master would be replaced that nobody killed.
    const opened = await openCluster({ settings: { 'cluster-node-timeout': '3000' } })
    closers.push(opened.dispose)
    cluster = opened.cluster
    load = await startLoad({ mode: 'cluster', nodes: cluster.seeds })
    closers.push(() => load.stop())
    // A replica, since it outlives this test.
    const replica = cluster.nodes.find(({ role }) => role === 'replica')
    watch = await startMonitoring(`127.0.0.1:${replica?.port}`)
    closers.push(() => watch.stop())
    // Prometheus looks for its targets 5 s after its start, however short the durations are; that nobody watches is true till then.
    await eventually(async () => {
      expect(await watch.query('up == 1')).toHaveLength(1)
      expect(await firing()).toEqual([])
    }, 30_000)
    watchedFromMs = Date.now()
  }, 120_000)

  afterAll(async () => {
    for (const close of closers.reverse()) await close()
  }, 60_000)

  const firing = async () =>
    (await watch.alerts())
      .filter(({ state }) => state === 'firing')
      .map(({ labels }) => `${labels.alertname} ${labels.instance ?? ''}`.trim())
  const nodeDown = (port: number) => `RedisNodeDown 127.0.0.1:${port}`

  test('all alerts are silent for longer than most of them take', async () => {
    const sinceThen = () => `[${Math.ceil((Date.now() - watchedFromMs) / 1000)}s]`
    // Of 15 s each, as shipped: 5 minutes are 20 of them.
    await eventually(async () => {
      const [scrapes] = await watch.query(`count_over_time(up${sinceThen()})`)
      expect(Number(scrapes?.value[1])).toBeGreaterThan(25)
    }, 60_000)
    const range = sinceThen()
    const fired = `count by (alertname) (count_over_time(ALERTS{alertstate="firing"}${range}))`
    expect(await watch.query(fired)).toEqual([])
    expect(await watch.query('count(redis_up == 1)')).toMatchObject([{ value: [expect.anything(), '6'] }])
  }, 120_000)

  test('every query of every dashboard has data', async () => {
    const panels = await dashboardPanels()
    expect(panels.length).toBeGreaterThan(50)
    const empty: string[] = []
    for (const { title, expr } of panels) {
      const samples = await watch.query(filledIn(expr, load.queue))
      const values = samples.map(({ value }) => Number(value[1]))
      if (values.length === 0 || values.every(Number.isNaN)) empty.push(`${title}: ${expr}`)
    }
    expect(empty).toEqual([])
  }, 60_000)

  test('every choice of every dashboard has something to choose from', async () => {
    for (const query of await dashboardChoices()) {
      const [, selector = '', label = ''] = /^label_values\((.+), (\w+)\)$/.exec(query) ?? []
      const values = await watch.labelValues(label, filledIn(selector, load.queue))
      expect(values, query).toContain(label === 'job' ? 'shardq' : load.queue)
    }
  })

  test('a master dies: the pager hears of it, and of nothing that only follows', async () => {
    const victim = cluster.nodes.find(({ role }) => role === 'master')
    if (!victim) throw new Error('a cluster without masters')
    await cluster.killNode(victim.port)

    await eventually(async () => {
      expect(await firing()).toEqual(expect.arrayContaining([nodeDown(victim.port), 'RedisFailover']))
    }, 60_000)
    const [alert] = (await watch.alerts()).filter(({ labels }) => labels.alertname === 'RedisNodeDown')
    expect(alert?.annotations).toMatchObject({
      summary: `Redis node 127.0.0.1:${victim.port} is DOWN`,
      runbook: 'docs/runbooks/RedisNodeDown.md',
    })
    await eventually(() => expect(told('pager', 'RedisNodeDown', 'firing')).toBe(true), 30_000)
    // The promoted one has no replica now. That is so, and nobody is told.
    await eventually(async () => {
      expect(await watch.states('RedisMasterWithoutReplica')).toEqual(['suppressed'])
    }, 60_000)
    expect(watch.notices.flatMap(({ alerts }) => alerts.map(({ labels }) => labels.alertname))).not.toContain(
      'RedisMasterWithoutReplica',
    )
    expect(watch.notices.flatMap(({ alerts }) => alerts.map(({ labels }) => labels.severity))).not.toContain(
      'info',
    )

    await cluster.restartNode(victim.port)
    await cluster.waitUntilReady()
    await eventually(async () => {
      const now = await firing()
      expect(now).not.toContain(nodeDown(victim.port))
      expect(now).not.toContain('RedisFailover')
      expect(now.filter((name) => name.startsWith('RedisMasterWithoutReplica'))).toEqual([])
    }, 90_000)
    await eventually(() => expect(told('pager', 'RedisNodeDown', 'resolved')).toBe(true), 60_000)
  }, 200_000)

  const told = (receiver: string, alertname: string, status: string) =>
    watch.notices.some(
      (notice) =>
        notice.receiver === receiver &&
        notice.alerts.some((alert) => alert.status === status && alert.labels.alertname === alertname),
    )
})

/** As Grafana does it; it makes the interval at least four scrapes. */
const filledIn = (expr: string, queue: string) =>
  expr
    .replaceAll('$__rate_interval', '5s')
    .replaceAll('$__range', '1m')
    .replaceAll('$cluster', 'shardq')
    .replaceAll('$queue', queue)

interface Model {
  readonly panels: readonly {
    readonly title: string
    readonly targets?: readonly { readonly expr: string }[]
  }[]
  readonly templating: {
    readonly list: readonly { readonly type: string; readonly query: { query: string } }[]
  }
}

async function models(): Promise<Model[]> {
  const folder = `${DEPLOY}grafana/dashboards/`
  const files = await readdir(folder)
  return Promise.all(
    files.map(async (file) => JSON.parse(await readFile(`${folder}${file}`, 'utf8')) as Model),
  )
}

const dashboardPanels = async () =>
  (await models()).flatMap(({ panels }) =>
    panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ title, expr }))),
  )

const dashboardChoices = async () =>
  (await models()).flatMap(({ templating }) =>
    templating.list.filter(({ type }) => type === 'query').map(({ query }) => query.query),
  )
