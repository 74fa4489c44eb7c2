import { cluster } from './cluster.js'
import { queues } from './queues.js'

/** The dashboards by the names of their files in deploy/grafana/dashboards. */
export const dashboards = (): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Object.entries({ cluster: cluster(), queues: queues() }).map(([name, model]) => [
      `${name}.json`,
      `${JSON.stringify(model, null, 2)}\n`,
    ]),
  )
