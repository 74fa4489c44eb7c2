import { FilesEditedError } from '../errors.js'
import type { LinkOptions, NodeLink } from '../link.js'
import { nameOf } from '../link.js'
import { editsUnder, KEEP_IT, toldUnder, type Writing } from '../owed/overwrite.js'
import { type Told, toldTo } from '../owed/told.js'
import type { UserNode } from './nodes.js'
import type { UsersOptions } from './plan.js'
import { replicationOf } from './replication.js'

/**
 * What having nodes keep their users does besides: a server writes all that it has, and not only what is new. Before anything is changed.
 * @returns what stays for good on the way, and what cannot be seen from here; a sentence each
 * @throws FilesEditedError
 */
export async function judgeFiles(
  nodes: readonly UserNode[],
  options: Pick<UsersOptions, 'accounts' | 'passwords'> & LinkOptions,
): Promise<string[]> {
  const users = options.accounts.map(({ name }) => `user ${name}`)
  const found = await Promise.all(
    nodes.map(async (node) => {
      const told = await toldTo(node.link)
      const replicates = (await replicationOf(node, options)) !== undefined
      const own = new Set([...users, ...(replicates ? ['masteruser', 'masterauth'] : [])])
      return { name: node.name, told, writing: { rewrites: replicates || hasNoAclFile(told), own } }
    }),
  )
  refuse('users apply', found)
  const unseen = found.filter(({ told }) => told.files === null).map(({ name }) => name)
  const notes = found.flatMap(({ name, told, writing }) => {
    const kept = toldUnder(told, writing)
    return kept.length === 0
      ? []
      : [`${name} was told at run time, and writes down for good with its users: ${kept.join(', ')}`]
  })
  if (unseen.length > 0)
    notes.push(
      `${unseen.join(', ')}: files cannot be seen from here; what was edited there and is not in effect is overwritten, and what was told at run time stays for good`,
    )
  return notes
}

/**
 * For one node that gets users, before it does.
 * @param own their names
 * @throws FilesEditedError
 */
export async function mustKeepFiles(
  link: NodeLink,
  operation: string,
  own: readonly string[],
  rewrites?: boolean,
): Promise<void> {
  const told = await toldTo(link)
  const writing = { rewrites: rewrites ?? hasNoAclFile(told), own: new Set(own) }
  refuse(operation, [{ name: nameOf(link.address), told, writing }])
}

const hasNoAclFile = ({ config }: Told) => !config?.get('aclfile')

function refuse(
  operation: string,
  found: readonly { readonly name: string; readonly told: Told; readonly writing: Writing }[],
): void {
  const edits = found.flatMap(({ name, told, writing }) => {
    const names = editsUnder(told, writing)
    return names.length === 0 ? [] : [`${name}: ${names.join(', ')}`]
  })
  if (edits.length > 0) throw new FilesEditedError(operation, edits, CHOICE)
}

const CHOICE = `${KEEP_IT}; to have what its files say: shardq cluster rolling-restart (ACL LOAD for an aclfile); then again`
