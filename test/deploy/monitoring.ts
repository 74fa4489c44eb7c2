import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parse, stringify } from 'yaml'
import { freePorts } from '../../src/cluster/index.js'
import { startProgram } from './program.js'
import { shortened, shortenedRules } from './shorten.js'
import { alertRules, DEPLOY, monitoring } from './tools.js'

const SHARDQ = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

export interface Alert {
  readonly state: 'pending' | 'firing'
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
}

/** What Alertmanager sends to a webhook, as far as we look at it. */
export interface Notice {
  readonly receiver: string
  readonly status: 'firing' | 'resolved'
  readonly alerts: readonly { readonly status: string; readonly labels: Readonly<Record<string, string>> }[]
}

export interface Sample {
  readonly metric: Readonly<Record<string, string>>
  readonly value: readonly [time: number, value: string]
}

export interface Monitoring {
  /** What Alertmanager has sent so far. */
  readonly notices: readonly Notice[]
  query(expr: string): Promise<readonly Sample[]>
  labelValues(label: string, selector: string): Promise<readonly string[]>
  alerts(): Promise<readonly Alert[]>
  /** As Alertmanager has them: `suppressed` are those that follow from others. */
  states(alertname: string): Promise<readonly string[]>
  stop(): Promise<void>
}

/**
 * `shardq metrics`, Prometheus and Alertmanager with the files of deploy/, on free ports. Changed are: addresses, durations
 * (shorten.ts), and where receivers send to, which is here.
 */
export async function startMonitoring(node: string): Promise<Monitoring> {
  const programs = await monitoring()
  const dir = await mkdtemp(join(tmpdir(), 'shardq-monitoring-'))
  const [metricsPort = 0, prometheusPort = 0, alertmanagerPort = 0] = await freePorts(3)
  const closers: (() => Promise<unknown>)[] = [() => rm(dir, { recursive: true, force: true })]
  const stop = async () => {
    for (const close of closers.splice(0).reverse()) await close()
  }
  const at = (port: number) => `127.0.0.1:${port}`
  const start = async (program: string, args: readonly string[], port: number, readyPath: string) => {
    const started = await startProgram(program, args, `http://${at(port)}`, readyPath)
    closers.push(() => started.stop())
  }
  try {
    const mailbox = await openMailbox()
    closers.push(mailbox.close)

    // Nodes that a busy machine lets wait are no dead nodes: a killed one refuses at once, and needs no time-out.
    const flags = ['--node', node, '--port', String(metricsPort), '--timeout-ms', '5000']
    await start(process.execPath, [SHARDQ, 'metrics', ...flags], metricsPort, '/readyz')
    const alertmanager = parse(await readFile(`${DEPLOY}alertmanager/alertmanager.yml`, 'utf8'))
    await writeFile(
      join(dir, 'alertmanager.yml'),
      stringify(sentTo(mailbox.url, alertmanager as AlertmanagerFile)),
    )
    await start(
      programs.alertmanager,
      [
        `--config.file=${join(dir, 'alertmanager.yml')}`,
        `--storage.path=${join(dir, 'alertmanager')}`,
        `--web.listen-address=${at(alertmanagerPort)}`,
        '--cluster.listen-address=', // it has no peers
      ],
      alertmanagerPort,
      '/-/ready',
    )
    const shipped = await readFile(`${DEPLOY}prometheus/prometheus.yml`, 'utf8')
    const config = shipped
      .replaceAll('15s', shortened('15s'))
      .replace('shardq-metrics:9121', at(metricsPort))
      .replace('alertmanager:9093', at(alertmanagerPort))
    await writeFile(join(dir, 'prometheus.yml'), config)
    await writeFile(join(dir, 'alerts.yaml'), stringify(shortenedRules(await alertRules())))
    await start(
      programs.prometheus,
      [
        `--config.file=${join(dir, 'prometheus.yml')}`,
        `--storage.tsdb.path=${join(dir, 'prometheus')}`,
        `--web.listen-address=${at(prometheusPort)}`,
      ],
      prometheusPort,
      '/-/ready',
    )
    const api = `http://${at(prometheusPort)}/api/v1`
    return {
      notices: mailbox.notices,
      query: async (expr) =>
        (await get<{ data: { result: Sample[] } }>(`${api}/query?query=${encodeURIComponent(expr)}`)).data
          .result,
      labelValues: async (label, selector) =>
        (
          await get<{ data: string[] }>(
            `${api}/label/${label}/values?match[]=${encodeURIComponent(selector)}`,
          )
        ).data,
      alerts: async () => (await get<{ data: { alerts: Alert[] } }>(`${api}/alerts`)).data.alerts,
      states: async (alertname) => {
        const filter = encodeURIComponent(`alertname="${alertname}"`)
        const found = await get<{ status: { state: string } }[]>(
          `http://${at(alertmanagerPort)}/api/v2/alerts?filter=${filter}`,
        )
        return found.map(({ status }) => status.state)
      },
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}

async function get<Body>(url: string): Promise<Body> {
  const response = await fetch(url)
  if (!response.ok) throw new Error(`${url}: ${response.status} ${await response.text()}`)
  return (await response.json()) as Body
}

interface Route {
  readonly [setting: string]: unknown
  readonly routes?: readonly Route[]
}

interface AlertmanagerFile {
  readonly route: Route
  readonly receivers: readonly { readonly name: string }[]
}

/** Every receiver that sends anything sends it to us, and all durations are shorter. */
function sentTo(url: string, file: AlertmanagerFile): AlertmanagerFile {
  const shorter = (route: Route): Route => ({
    ...Object.fromEntries(
      Object.entries(route).map(([setting, value]) => [
        setting,
        /_(wait|interval)$/.test(setting) ? shortened(String(value)) : value,
      ]),
    ),
    ...(route.routes ? { routes: route.routes.map(shorter) } : {}),
  })
  return {
    ...file,
    route: shorter(file.route),
    receivers: file.receivers.map(({ name, ...configs }) =>
      Object.keys(configs).length === 0 ? { name } : { name, webhook_configs: [{ url }] },
    ),
  }
}

/** Where Alertmanager sends to. */
async function openMailbox() {
  const notices: Notice[] = []
  const server = createServer(async (request, response) => {
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part as Buffer)
    notices.push(JSON.parse(Buffer.concat(parts).toString()) as Notice)
    response.end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const close = async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
  return { notices, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, close }
}
