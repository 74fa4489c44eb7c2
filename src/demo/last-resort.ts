import { spawnSync } from 'node:child_process'

const SCRIPT = `
const [library, dataDir, folder] = process.argv.slice(1)
const { stopCluster } = await import(library)
await stopCluster({ dataDir, remove: true })
const { rm } = await import('node:fs/promises')
await rm(folder, { recursive: true, force: true })
`
/** As long as a node may take to end. */
const TIMEOUT_MS = 15_000

/**
 * Has the cluster removed when this process is ended in the middle, by an error that nobody caught or because
 * whoever read our output has gone (`shardq demo | head`). Nothing asynchronous runs any more then, so another
 * process does it. Against SIGKILL there is no remedy; `shardq cluster stop --data-dir` with the folder is one.
 * @returns takes it back
 */
export function removeOnExit(dataDir: string, folder: string): () => void {
  const library = new URL('../cluster/index.js', import.meta.url).href
  const remove = () => {
    const args = ['--input-type=module', '--eval', SCRIPT, library, dataDir, folder]
    spawnSync(process.execPath, args, { stdio: 'ignore', timeout: TIMEOUT_MS })
  }
  process.once('exit', remove)
  return () => process.off('exit', remove)
}
