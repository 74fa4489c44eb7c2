import { resolve } from 'node:path'
import { shellWord } from '../shell.js'
import { DEFAULT_DATA_DIR, nodePlaces, readManifest } from './data-dir.js'
import { DataDirError } from './errors.js'
import { nameHolderOf } from './holder-text.js'
import { probeNode } from './node.js'
import { processFromPidFile } from './processes.js'

/**
 * Looks whether the ports of a data folder are those of another folder's servers, as they are when the folder is a copy of that: what
 * is meant for the one cluster would be done to the other. Nodes whose process works in the folder are not asked.
 * Does nothing where the folder (default `.shardq/cluster`) holds no cluster.
 * @throws DataDirError naming the other folder
 */
export async function checkServedHere(folder: string = DEFAULT_DATA_DIR): Promise<void> {
  const dataDir = resolve(folder)
  const manifest = await readManifest(dataDir)
  if (manifest === null) return
  await Promise.all(
    nodePlaces(dataDir, manifest).map(async (place) => {
      if ((await processFromPidFile(place.dir)) !== null) return
      const found = await probeNode(place)
      if (found.state !== 'foreign' || found.holder === null) return
      const other = await nameHolderOf(found.holder)
      if (other.dataDir === null) return
      throw new DataDirError(
        dataDir,
        `its cluster does not run; its port ${place.port} is held by ${other.text}, of which this folder may be a copy; ` +
          `for that cluster use: --data-dir ${shellWord(other.dataDir)} - to run this one, first: ${other.stop}`,
      )
    }),
  )
}
