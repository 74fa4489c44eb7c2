import { settle } from '../move/claim.js'
import { expectClosed, restore } from '../move/expect.js'
import type { Nodes } from '../move/nodes.js'
import { type FixStep, type Party, StepRefused } from './steps.js'

type Close = Extract<FixStep, { kind: 'close' }>

/**
 * The end that imports first. From then on a client that the owner sends there is sent back, so no key can come to be there;
 * if one has in the last moment, the end is opened again and the slot is one to be finished.
 */
export async function close(
  nodes: Nodes,
  { slot, sides }: Close,
  masters: readonly Party[],
): Promise<'done'> {
  for (const { node, owns, direction, peer } of sides) {
    const open = await nodes.openSlot(node, slot)
    if (!open) continue
    if (open.direction !== direction || open.peer !== peer || (await nodes.owns(node, slot)) !== owns)
      throw new StepRefused(`it is not open on ${node.name} any more as it was`)
    const heir = masters.find(({ id }) => id === peer)
    if (!owns && direction === 'migrating' && heir && (await nodes.owns(heir, slot))) {
      // A move was cut off after its claim.
      await settle(nodes, { slot, from: node, to: heir }, masters)
      continue
    }
    await nodes.setSlot(node, slot, 'STABLE')
    if (owns || (await nodes.countKeys(node, slot)) === 0) continue
    await restore(nodes, node, slot, { direction, peer })
    throw new StepRefused(`keys of it have come to ${node.name} meanwhile`)
  }
  for (const { node } of sides) await expectClosed(nodes, node, slot)
  return 'done'
}
