/** `npm run dashboards`: writes the Grafana dashboards of scripts/dashboards into deploy/grafana/dashboards. */
import { writeFile } from 'node:fs/promises'
import { dashboards } from './dashboards/index.js'

const FOLDER = new URL('../deploy/grafana/dashboards/', import.meta.url)

for (const [name, text] of Object.entries(dashboards())) {
  await writeFile(new URL(name, FOLDER), text)
  console.log(`deploy/grafana/dashboards/${name}`)
}
