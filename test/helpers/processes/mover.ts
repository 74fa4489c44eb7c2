/** A process that moves slots, to be killed in the middle: `mover.ts MOVE_JSON MASTERS_JSON`. Tells of the progress, after 20 keys. */
import { moveSlots, Nodes, type Party, type SlotMove } from '../../../src/cluster/move/index.js'

const [move = '', masters = ''] = process.argv.slice(2)
await moveSlots(new Nodes({}), JSON.parse(move) as SlotMove, JSON.parse(masters) as Party[], {
  onProgress: (progress) => void (progress.keys > 20 && process.send?.(progress)),
})
process.send?.('done')
process.disconnect?.()
