import type { TestProject } from 'vitest/node'
import { startSingle } from '../../src/cluster/index.js'

/** What most mutations need, and quickly: no cluster. */
export default async function singleServer(project: TestProject): Promise<() => Promise<void>> {
  const single = await startSingle()
  project.provide('cluster', { nodes: [] })
  project.provide('single', { url: single.url })
  return () => single.stop()
}
