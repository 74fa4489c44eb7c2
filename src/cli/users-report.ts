import type { Colors } from 'picocolors/types.js'
import type { UserChange, UsersComparison, UsersPlan, UsersReport } from '../cluster/index.js'
import { wrapped } from './check-report.js'
import { plainTable } from './plain-table.js'

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
export function renderPlan({ changes, silent }: UsersPlan, colors: Colors): string {
  const table = plainTable(['user', 'what is done', 'on', 'rights added and taken away'], { right: [] })
  const groups = new Map<string, UserChange[]>()
  for (const change of changes) {
    const { user, missing, beyond } = change
    const key = [user, wordsOf(change), missing.join(), beyond.join()].join(' ')
    groups.set(key, [...(groups.get(key) ?? []), change])
  }
  for (const group of groups.values()) {
    const [first] = group
    if (!first) continue
    const rights = first.change === 'rules' ? differenceText(first.missing, first.beyond) : ''
    table.push([first.user, wordsOf(first), nodesText(group.map(({ node }) => node)), rights])
  }
  return [table.toString(), ...silent.map(silentText(colors))].join('\n')
}

export function renderApplied({ ok, nodes, defaultUser, earlier }: UsersReport, colors: Colors): string {
  const table = plainTable(['node', 'made or changed', 'kept in', ''], { right: [] })
  for (const { node, changed, persisted, error } of nodes) {
    const kept = persisted === null ? 'nothing' : persisted === 'aclfile' ? 'its aclfile' : 'its redis.conf'
    const outcome = error === null ? colors.green('✓') : colors.red(`✗ ${wrapped(error, 60)}`)
    table.push([node, changed.join(', ') || 'nothing', kept, outcome])
  }
  const verdict = ok
    ? colors.green(`✅ the same users on ${nodes.length} nodes`)
    : colors.red('❌ not on every node; mend what is said there, and run it again')
  const valid = earlier.map((user) => colors.red(`! the earlier password of ${user} is valid still`))
  const off = defaultUser === 'off' ? ['the default user is off'] : []
  return [table.toString(), ...valid, ...off, verdict].join('\n')
}

export function renderComparison({ ok, nodes, silent, users }: UsersComparison, colors: Colors): string {
  const table = plainTable(['user', '', 'between nodes', 'rights of its roles'], { right: [] })
  for (const { user, on, differs, missing, beyond } of users) {
    const between =
      differs.length === 0
        ? 'the same'
        : differs.map(({ node, how }) => wrapped(`${node}: ${how}`, 60)).join('\n')
    const rights =
      missing === null || beyond === null ? '' : differenceText(missing, beyond) || 'all, and no others'
    table.push([user, on ? 'on' : 'off', differs.length === 0 ? between : colors.red(between), rights])
  }
  const verdict = ok
    ? colors.green(`✅ the same on ${nodes.length} nodes`)
    : colors.red('❌ mend it with: shardq cluster users apply')
  return [table.toString(), ...silent.map(silentText(colors)), verdict].join('\n')
}

function differenceText(missing: readonly string[], beyond: readonly string[]): string {
  const lines = [
    ...(missing.length === 0 ? [] : [`lacks ${missing.join(' ')}`]),
    ...(beyond.length === 0 ? [] : [`has beyond them ${beyond.join(' ')}`]),
  ]
  return lines.map((line) => wrapped(line, 60)).join('\n')
}

const nodesText = (nodes: readonly string[]) =>
  nodes.length > 3 ? `${nodes.length} nodes` : nodes.join(', ')

const silentText =
  (colors: Colors) =>
  ({ node, error }: { readonly node: string; readonly error: string }) =>
    colors.red(`✗ ${node} does not answer, and is left out: ${error}`)
