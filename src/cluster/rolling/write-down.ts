import { type LinkOptions, withLink } from '../link.js'
import { unknownText } from '../owed/changed.js'
import { type Files, spelledAlike } from '../owed/files.js'
import { writeDown } from '../owed/tell.js'
import { nameOfUser, type Told, toldTo } from '../owed/told.js'
import { parseUsers, textOf } from '../users/stored.js'
import type { RollNode } from './standing.js'

/** The marks of files as they were written, by the id of their node: what stands there is no edit of anybody's. */
export type Written = Readonly<{ [id: string]: string }>

/**
 * Has nodes write down what they were told at run time: all, or none where one of them would write over edits. One that was told nothing has
 * nothing to write, and keeps its files as they are.
 * @throws Error of the nodes that would write over edits, or of the one that cannot write
 */
export async function writeDownAll(
  nodes: readonly RollNode[],
  written: Written,
  access: LinkOptions,
  onNote: (text: string) => void,
): Promise<Written> {
  const found = await Promise.all(
    nodes.filter(({ up }) => up).map(async (node) => ({ node, told: await withLink(node, access, toldTo) })),
  )
  const toWrite = found.filter(({ told: { calls } }) => calls.settings || calls.users)
  const problems = toWrite.flatMap(({ node, told }) => {
    const edits = told.files && told.files.mark !== written[node.id] ? editsIn(told, told.files) : []
    return edits.length === 0
      ? []
      : [
          `${node.name}: --rewrite would overwrite what its files say since they were changed: ${edits.join(', ')}`,
        ]
  })
  if (problems.length > 0) throw new Error(`${problems.join('; ')}; ${CHOICE}`)
  const marks: { [id: string]: string } = { ...written }
  for (const { node, told } of toWrite) {
    if (!told.files)
      onNote(
        `${node.name} writes its files anew; what was edited there since it was started cannot be seen from here`,
      )
    const mark = await withLink(node, access, async (link) => {
      await writeDown(link)
      return (await toldTo(link)).files?.mark
    }).catch((error: Error) => {
      throw new Error(`${node.name} cannot write its settings down (${error.message})`, { cause: error })
    })
    if (mark !== undefined) marks[node.id] = mark
  }
  return marks
}

const CHOICE =
  'to keep what a node has: CONFIG REWRITE on it (ACL SAVE, where it has an aclfile); to keep what its files say: --accept-files in place of --rewrite'

/** As the file says, and as the node has it. A line that was removed is only known where the file as it was is. */
function editsIn(told: Told, { settings, users, lines }: Files): string[] {
  const names = settings && users ? [...settings, ...users] : [...lines.keys()]
  const edits = names.filter((name) => !isSame(told, name, lines.get(name), settings !== null))
  const known = edits.map((name) => textOfEdit(told, name, lines.get(name)))
  return settings && users ? known : [...known, 'lines that were removed, if any']
}

function isSame(told: Told, name: string, lines: readonly string[] | undefined, isEdited: boolean): boolean {
  if (name.startsWith('user ')) {
    const user = (line: string | undefined) =>
      line === undefined
        ? ''
        : [...parseUsers([line], told.categories)].map(([, each]) => textOf(each)).join()
    const has = told.users?.find((line) => `user ${nameOfUser(line)}` === name)
    return user(has) === user(lines?.map((rest) => `user ${rest}`).at(-1))
  }
  const has = valueIn(told, name)
  // Not a setting that it tells: `loadmodule`.
  if (has === undefined) return !isEdited
  if (lines === undefined) return told.calls.rewrite // which leaves out what is at its default
  const values = lines.map(plain)
  return values.length > 1 || name === 'client-output-buffer-limit'
    ? values.every((value) => plain(has).includes(value))
    : values[0] === plain(has)
}

const valueIn = ({ config }: Told, name: string) =>
  [...(config ?? [])].find(([each]) => spelledAlike(each) === name)?.[1]

function textOfEdit(told: Told, name: string, lines: readonly string[] | undefined): string {
  if (name.startsWith('user ')) return name
  const says = lines?.join(' ') ?? 'no line'
  return (
    unknownText(
      { settings: new Map([[name, says]]), users: [] },
      new Map([[name, valueIn(told, name) ?? '']]),
    )[0] ?? name
  )
}

const UNITS: Readonly<Record<string, number>> = {
  b: 1,
  k: 1_000,
  kb: 1_024,
  m: 1_000_000,
  mb: 1_024 ** 2,
  g: 1_000_000_000,
  gb: 1_024 ** 3,
}

/** A value as a server tells it: no quotes, and bytes in place of `100mb`. */
const plain = (text: string) =>
  text
    .toLowerCase()
    .replaceAll(/["']/g, '')
    .replaceAll(/\breplica\b/g, 'slave')
    .split(/\s+/)
    .map((word) => {
      const [, count, unit = ''] = /^(\d+)([kmg]?b?)$/.exec(word) ?? []
      return count === undefined ? word : String(Number(count) * (UNITS[unit] ?? 1))
    })
    .join(' ')
