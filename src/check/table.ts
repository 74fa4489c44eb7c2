import type { Check } from './check.js'
import { MACHINE } from './rules/machine.js'
import { MEMBERSHIP } from './rules/membership.js'
import { MEMORY } from './rules/memory.js'
import { PERSISTENCE } from './rules/persistence.js'
import { REACH } from './rules/reach.js'
import { REPLICATION } from './rules/replication.js'
import { SETTINGS } from './rules/settings.js'
import { SLOTS } from './rules/slots.js'

/** What is looked at, by theme: from what stops everything to what will be a nuisance one day. */
export const THEMES = {
  'nodes that do not answer': REACH,
  'the cluster and its members': MEMBERSHIP,
  slots: SLOTS,
  replication: REPLICATION,
  memory: MEMORY,
  persistence: PERSISTENCE,
  'settings and versions': SETTINGS,
  'clocks and this machine': MACHINE,
} as const

export type Theme = keyof typeof THEMES

/** Every check there is, by its name. A new one is an entry in a file of `rules/` and a row in docs/checks.md. */
export const CHECKS = {
  ...REACH,
  ...MEMBERSHIP,
  ...SLOTS,
  ...REPLICATION,
  ...MEMORY,
  ...PERSISTENCE,
  ...SETTINGS,
  ...MACHINE,
} satisfies Record<string, Check>

export type CheckName = keyof typeof CHECKS

export const CHECK_NAMES = Object.keys(CHECKS) as CheckName[]
