import { FilesEditedError } from '../errors.js'
import { type LinkOptions, withLink } from '../link.js'
import { editsUnder, KEEP_IT } from '../owed/overwrite.js'
import { writeDown } from '../owed/tell.js'
import { toldTo } from '../owed/told.js'
import type { RollNode } from './standing.js'

/** The marks of files as they were written, by the id of their node: what stands there is no edit of anybody's. */
export type Written = Readonly<{ [id: string]: string }>

/**
 * Has nodes write down what they were told at run time: all, or none where one of them would write over edits. One that was told nothing has
 * nothing to write, and keeps its files as they are.
 * @throws FilesEditedError; Error of a node that cannot write
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
    const isWritten = told.files !== null && told.files.mark === written[node.id]
    const edits = isWritten ? [] : editsUnder(told, { rewrites: true })
    return edits.length === 0 ? [] : [`${node.name}: ${edits.join(', ')}`]
  })
  if (problems.length > 0) throw new FilesEditedError('--rewrite', problems, CHOICE)
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

const CHOICE = `${KEEP_IT}; to keep what its files say: --accept-files in place of --rewrite`
