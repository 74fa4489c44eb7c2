import { readdir, readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { dashboards } from '../../scripts/dashboards/index.js'

const FOLDER = new URL('../../deploy/grafana/dashboards/', import.meta.url)

test('the dashboards in deploy/grafana are those that `npm run dashboards` writes', async () => {
  const made = dashboards()
  expect((await readdir(FOLDER)).sort()).toEqual(Object.keys(made).sort())
  for (const [name, text] of Object.entries(made))
    expect(await readFile(new URL(name, FOLDER), 'utf8'), `${name} is out of date`).toBe(text)
})

test('no panel lies over another, or beyond the edge', () => {
  for (const [name, text] of Object.entries(dashboards())) {
    const { panels } = JSON.parse(text) as {
      panels: { title: string; gridPos: { x: number; y: number; w: number; h: number } }[]
    }
    const taken = new Set<string>()
    for (const { title, gridPos } of panels) {
      expect(gridPos.x + gridPos.w, `${name}: ${title}`).toBeLessThanOrEqual(24)
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++)
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect(taken, `${name}: ${title}`).not.toContain(`${x},${y}`)
          taken.add(`${x},${y}`)
        }
    }
  }
})
