/**
 * How the shipped files are changed for a test that takes a minute instead of an hour: every duration by one factor, `for` and
 * windows alike, so that what is long beside something else stays so. Thresholds, expressions, labels and routes are as shipped.
 */
import type { Rules } from './tools.js'

/** Scrapes come every 15 s as shipped, every second here. */
export const FACTOR = 15

const UNIT_SECONDS = { s: 1, m: 60, h: 3600 } as const

export function shortened(duration: string): string {
  let seconds = 0
  for (const [, number, unit] of duration.matchAll(/(\d+)([smh])/g))
    seconds += Number(number) * UNIT_SECONDS[unit as keyof typeof UNIT_SECONDS]
  return `${Math.round((seconds / FACTOR) * 1000)}ms`
}

export const shortenedRules = ({ groups }: Rules): Rules => ({
  groups: groups.map((group) => ({
    ...group,
    rules: group.rules.map((rule) => ({
      ...rule,
      expr: rule.expr.replaceAll(/\[(\w+)\]/g, (_, window: string) => `[${shortened(window)}]`),
      ...(rule.for === undefined ? {} : { for: shortened(rule.for) }),
    })),
  })),
})
