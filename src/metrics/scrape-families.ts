import type { Family, Samples } from './observed.js'

/** What both collectors tell of themselves. */
export const SCRAPE_FAMILIES = {
  shardq_scrape_duration_seconds: {
    type: 'gauge',
    help: 'How long the last look took, at the nodes or at the queues',
    labels: ['what'],
  },
  shardq_scrape_errors_total: {
    type: 'counter',
    help: 'Nodes that did not answer when they were looked at; partitions of queues, and looks at their list',
    labels: ['what'],
  },
} as const satisfies Record<string, Family>

export type ScrapeMetric = keyof typeof SCRAPE_FAMILIES

/** Adds up the errors of all looks of one kind. */
export class ScrapeLog {
  #errors = 0

  constructor(private readonly what: 'nodes' | 'queues') {}

  add(samples: Samples<ScrapeMetric>, startedMs: number, errors: number): void {
    this.#errors += errors
    const { what } = this
    samples.add('shardq_scrape_duration_seconds', { what }, (performance.now() - startedMs) / 1_000)
    samples.add('shardq_scrape_errors_total', { what }, this.#errors)
  }
}
