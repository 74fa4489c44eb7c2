/** A node whose folder was removed while it runs: nothing that it writes is found again. */
import { dirname } from 'node:path'
import { shellWord } from '../shell.js'
import { DataDirError } from './errors.js'
import { isThere } from './is-there.js'
import { type NodeLink, withLink } from './link.js'
import type { NodePlace } from './node.js'
import { HOST } from './ports.js'
import { type ProcessIdentity, worksInRemoved } from './processes.js'
import { redisCli } from './redis-cli.js'
import { type NodeView, parseClusterNodes } from './replies.js'

export const hasLostFolder = async ({ dir }: NodePlace, pid: number): Promise<boolean> =>
  (await worksInRemoved(pid)) ?? !(await isThere(dir))

/** @throws DataDirError naming nodes that run without their folder, each with what to type */
export async function mustHaveFolders(
  dataDir: string,
  places: readonly NodePlace[],
  running: ReadonlyMap<number, ProcessIdentity>,
): Promise<void> {
  const lost: string[] = []
  for (const place of places) {
    const process = running.get(place.port)
    if (!process || !(await hasLostFolder(place, process.pid))) continue
    const address = { host: HOST, port: place.port }
    const problem = await withLink(address, place.access, (link) => lostFolder(link, place))
    lost.push(`node ${place.port} runs, but ${problem}`)
  }
  if (lost.length > 0) throw new DataDirError(dataDir, lost.join('; '))
}

/** To be said of a node that has lost its folder, with what to type so that its data stays. */
export async function lostFolder(link: NodeLink, { dir, port, access }: NodePlace): Promise<string> {
  const view = parseClusterNodes(await link.text('CLUSTER', 'NODES'), HOST)
  const cli = (node: NodeView, command: string) =>
    redisCli({ host: node.host, port: String(node.port) }, access, command)
  const lost = `its folder ${dir} is gone, so that what it writes is not kept, and it ends by itself once nodes come, go or change`
  const self = view.find(({ myself }) => myself)
  const master = view.find(({ id }) => id === self?.masterId)
  const replica = view.find((node) => node.masterId === self?.id && isUp(node))
  const dataDir = shellWord(dirname(dir))
  if (self && (master ? isUp(master) : self.role === 'master' && self.slots.length === 0))
    return (
      `${lost}; ${master ? 'its master has all of its data' : 'it owns no slots'}; end it: ${cli(self, 'SHUTDOWN NOSAVE')} - and then, when the ` +
      `others count it as failed: shardq cluster fix --forget ${HOST}:${port} --data-dir ${dataDir}`
    )
  if (replica) return `${lost}; let its replica take over: ${cli(replica, 'CLUSTER FAILOVER')}`
  return (
    `${lost}; no other node that runs has its data, so save it: shardq cluster backup --to FOLDER --data-dir ${dataDir} - and put it into a new ` +
    `cluster: shardq cluster up --clean --data-dir ${dataDir} - and: shardq cluster restore --from FOLDER --data-dir ${dataDir}`
  )
}

const isUp = ({ flags, linkState }: NodeView) =>
  linkState === 'connected' && !flags.some((flag) => flag.startsWith('fail'))
