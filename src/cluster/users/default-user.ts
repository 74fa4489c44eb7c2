import { LockOutError } from '../errors.js'
import { type LinkOptions, NodeLink } from '../link.js'
import type { AppliedNode, ApplyOptions } from './apply.js'
import { type FoundNodes, type UserNode, usersOf } from './nodes.js'
import { replicatesAs } from './replication.js'

/** Links as the operator, to go on with when the default user is off. */
export interface OperatorLinks {
  linkTo(node: UserNode): NodeLink
  close(): void
}

/**
 * Switches the default user off on every node, over links of the operator, so that it is sure that they get in.
 * @throws LockOutError with every reason why not; then the default user is as it was on all nodes
 */
export async function disableDefault(
  { nodes }: FoundNodes,
  options: ApplyOptions & { readonly failed: readonly AppliedNode[] },
): Promise<OperatorLinks> {
  const operator = operatorOf(options)
  const reasons = options.failed.map(({ node, error }) => `${node} is not done: ${error}`)
  if (!operator) reasons.push('no operator whose password is known here (--password-file operator=FILE)')
  const links = new Map<string, NodeLink>()
  const close = () => {
    for (const link of links.values()) link.close()
  }
  try {
    for (const node of operator ? nodes : [])
      reasons.push(...(await obstaclesAt(node, operator as LinkOptions, links)))
    if (reasons.length > 0) throw new LockOutError(reasons)
    await switchOff(links)
  } catch (error) {
    close()
    throw error
  }
  return { linkTo: ({ name, link }) => links.get(name) ?? link, close }
}

/** Who is to get in afterwards: an operator of this run, or we ourselves if we are not the default user. */
function operatorOf(options: ApplyOptions): LinkOptions | undefined {
  const { accounts, passwords, username, password, otherPassword, ...common } = options
  for (const { name, roles } of accounts) {
    const own = passwords?.get(name)
    if (roles.includes('operator') && own !== undefined) return { ...common, username: name, password: own }
  }
  if (username === undefined || username === 'default' || password === undefined) return undefined
  return { ...common, username, password, ...(otherPassword === undefined ? {} : { otherPassword }) }
}

async function obstaclesAt(
  node: UserNode,
  operator: LinkOptions,
  links: Map<string, NodeLink>,
): Promise<string[]> {
  const { name, address, link, replicas } = node
  const obstacles: string[] = []
  try {
    links.set(name, await NodeLink.open(address, operator))
    const undo = ['ACL', 'SETUSER', 'default', 'on'] as const
    const verdict = await link.text('ACL', 'DRYRUN', operator.username ?? '', ...undo)
    if (verdict !== 'OK') obstacles.push(`${operator.username} could not switch it on again on ${name}`)
    const replicates = replicas ? await replicatesAs(node) : 'nobody'
    const users = await usersOf(node)
    if (replicas && !users.get(replicates)?.on)
      obstacles.push(`replicas log in to ${name} as the default user (make one for them: --replication)`)
  } catch (error) {
    obstacles.push(`${operator.username} does not get in at ${name}: ${(error as Error).message}`)
  }
  return obstacles
}

/** A node that fails in the midst has it on still, and running it again goes on there. */
async function switchOff(links: ReadonlyMap<string, NodeLink>): Promise<void> {
  const left: string[] = []
  for (const [name, link] of links) {
    try {
      await link.text('ACL', 'SETUSER', 'default', 'off')
      if ((await usersOf({ link })).get('default')?.on) left.push(`it is on still on ${name}`)
    } catch (error) {
      left.push(`it may be on still on ${name}: ${(error as Error).message}`)
    }
  }
  if (left.length > 0) throw new LockOutError(left)
}
