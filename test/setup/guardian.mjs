/**
 * Cleans up after a test run that could not: interrupted, killed, crashed. It is started with the run, waits for
 * the pipe from it to break, which no death can prevent, and then ends every server whose pid file lies in the
 * run's folder of temporary files, and removes the folder. After an orderly end it finds nothing to do.
 *
 * Plain Node and not TypeScript, because it runs outside vitest; the built library tells it whom a pid file names.
 */
import { readdir, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { processFromPidFile, signalProcess } from '../../dist/cluster/processes.js'

const folder = process.argv[2]

async function endServers() {
  const files = await readdir(folder, { recursive: true }).catch(() => [])
  for (const file of files.filter((each) => basename(each) === 'redis.pid')) {
    const server = await processFromPidFile(join(folder, dirname(file)))
    if (server) await signalProcess(server, 'SIGKILL')
  }
}

process.stdin.resume()
process.stdin.once('close', async () => {
  // Twice, since a worker of the run may be starting one more server while it goes down itself.
  await endServers()
  await sleep(1000)
  await endServers()
  await rm(folder, { recursive: true, force: true, maxRetries: 5 })
})
