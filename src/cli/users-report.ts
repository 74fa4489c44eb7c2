import type { Colors } from 'picocolors/types.js'
import type { UserChange, UsersComparison, UsersPlan, UsersReport } from '../cluster/index.js'
import { PlainTable } from '../plain-table.js'
import { wrapped } from './check-report.js'

const PASSWORD_WORDS: Readonly<Record<UserChange['password'], readonly string[]>> = {
  same: [],
  changes: ['gets another password'],
  'earlier-ends': ['loses its earlier password'],
}

function wordsOf({ change, password, switchedOn }: UserChange): string {
  if (change === 'new') return 'is made'
  const words = [
    ...(change === 'rules' ? ['gets other rights'] : []),
    ...PASSWORD_WORDS[password],
    ...(switchedOn ? ['is switched on'] : []),
  ]
  return words.join(', ') || 'stays as it is'
}

/** A line for each user and what is done to it, with the nodes where it is done. */
export function renderPlan({ changes, silent, notes }: UsersPlan, colors: Colors): string[] {
  const table = new PlainTable(['user', 'what is done', 'on', 'rights added and taken away'])
  const groups = new Map<string, UserChange[]>()
  for (const change of changes) {
    const { user, missing, beyond } = change
    const key = [user, wordsOf(change), missing.join(), beyond.join()].join(' ')
    groups.set(key, [...(groups.get(key) ?? []), change])
  }
  for (const group of groups.values()) {
    const [first] = group
    if (!first) continue
    const rights = first.change === 'rules' ? differenceOf(first.missing, first.beyond) : []
    table.push([first.user, wordsOf(first), nodesText(group.map(({ node }) => node)), rights])
  }
  return [...table.lines(), ...silent.map(silentText(colors)), ...notes.map((note) => `! ${note}`)]
}

export function renderApplied({ ok, nodes, defaultUser, earlier }: UsersReport, colors: Colors): string[] {
  const table = new PlainTable(['node', 'made or changed', 'kept in', ''])
  for (const { node, changed, persisted, error } of nodes) {
    const kept = persisted === null ? 'nothing' : persisted === 'aclfile' ? 'its aclfile' : 'its redis.conf'
    const outcome = error === null ? colors.green('✓') : wrapped(`✗ ${error}`, 60).map(colors.red)
    table.push([node, changed.join(', ') || 'nothing', kept, outcome])
  }
  const verdict = ok
    ? colors.green(`✅ the same users on ${nodes.length} nodes`)
    : colors.red('❌ not on every node; mend what is said there, and run it again')
  const valid = earlier.map((user) => colors.red(`! the earlier password of ${user} is valid still`))
  const off = defaultUser === 'off' ? ['the default user is off'] : []
  return [...table.lines(), ...valid, ...off, verdict]
}

export function renderComparison({ ok, nodes, silent, users }: UsersComparison, colors: Colors): string[] {
  const table = new PlainTable(['user', '', 'between nodes', 'rights of its roles'])
  for (const { user, on, differs, missing, beyond } of users) {
    const between =
      differs.length === 0
        ? ['the same']
        : differs.flatMap(({ node, how }) => wrapped(`${node}: ${how}`, 60)).map(colors.red)
    const rights = missing === null || beyond === null ? [] : differenceOf(missing, beyond)
    const same = missing !== null && rights.length === 0
    table.push([user, on ? 'on' : 'off', between, same ? 'all, and no others' : rights])
  }
  const verdict = ok
    ? colors.green(`✅ the same on ${nodes.length} nodes`)
    : colors.red('❌ mend it with: shardq cluster users apply')
  return [...table.lines(), ...silent.map(silentText(colors)), verdict]
}

function differenceOf(missing: readonly string[], beyond: readonly string[]): string[] {
  const lines = [
    ...(missing.length === 0 ? [] : [`lacks ${missing.join(' ')}`]),
    ...(beyond.length === 0 ? [] : [`has beyond them ${beyond.join(' ')}`]),
  ]
  return lines.flatMap((line) => wrapped(line, 60))
}

const nodesText = (nodes: readonly string[]) =>
  nodes.length > 3 ? `${nodes.length} nodes` : nodes.join(', ')

const silentText =
  (colors: Colors) =>
  ({ node, error }: { readonly node: string; readonly error: string }) =>
    colors.red(`✗ ${node} does not answer, and is left out: ${error}`)
