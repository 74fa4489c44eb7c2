/** A process that adds a master to the cluster of a folder, and stops itself (SIGSTOP) when it has joined: `stopped-add.ts DATA_DIR`. */
import { addLocalNodes } from '../../../src/cluster/index.js'

try {
  await addLocalNodes({
    dataDir: process.argv[2] ?? '',
    masters: 1,
    replicasPerMaster: 0,
    onStep: ({ step }) => {
      if (step !== 'joined') return
      process.send?.({ name: step })
      process.kill(process.pid, 'SIGSTOP')
    },
  })
  process.send?.({ name: 'done' })
} catch (error) {
  process.send?.({ name: (error as Error).name })
}
process.disconnect?.()
