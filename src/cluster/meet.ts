import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { type Address, type NodeLink, nameOf } from './link.js'
import { poll, type ReadyOptions } from './ready.js'
import { type NodeView, parseClusterNodes } from './replies.js'

/** Nodes that reach each other have met within 0.2 s; those that do not never will. */
const MEETING_MS = 10_000
/** A node gives up an introduction after so long, and has to be told again. */
export const INTRODUCTION_MS = 1000

/** Where other nodes reach a node: an address of numbers, since a server looks up no names. */
export interface MeetingPoint extends Address {
  readonly busPort: number
}

/** Whether a node that sees another like this has met it; undefined: does not list it. */
export const hasMet = (line: NodeView | undefined) =>
  line?.linkState === 'connected' && !line.flags.includes('handshake')

export const notThrough = (name: string, to: MeetingPoint) =>
  `${name} does not get through to the bus port of ${nameOf(to)}, ${to.busPort}`

/** The address of numbers behind a name, the older kind first, as for connections; null where the name means nothing here. */
export async function numbersOf(host: string): Promise<string | null> {
  if (isIP(host) !== 0) return host
  const found = await lookup(host, { all: true }).catch(() => [])
  return (found.find(({ family }) => family === 4) ?? found[0])?.address ?? null
}

interface Introduction {
  readonly from: NodeLink
  readonly to: MeetingPoint
  readonly toId: string
}

/** Everybody to everybody else. */
function introductions(
  links: readonly NodeLink[],
  points: readonly MeetingPoint[],
  ids: readonly string[] = [],
): Introduction[] {
  return links.flatMap((from, index) =>
    points.flatMap((to, other) => (other === index ? [] : [{ from, to, toId: ids[other] ?? '' }])),
  )
}

const meet = ({ from, to }: Introduction) => from.text('CLUSTER', 'MEET', to.host, to.port, to.busPort)

export async function meetAll(links: readonly NodeLink[], points: readonly MeetingPoint[]): Promise<void> {
  await Promise.all(introductions(links, points).map(meet))
}

/**
 * MEET answers OK before anything has happened, and where a bus port is closed nothing ever does: then each pair is named, in
 * the direction that does not work. A node refuses to replicate one that it has not yet shaken hands with.
 */
export async function waitUntilMet(
  links: readonly NodeLink[],
  points: readonly MeetingPoint[],
  ids: readonly string[],
  options: ReadyOptions,
): Promise<void> {
  const all = introductions(links, points, ids)
  let metAtMs = performance.now()
  await poll({ ...options, timeoutMs: Math.min(options.timeoutMs, MEETING_MS) }, async () => {
    const views = await Promise.all(
      links.map(async (link) => parseClusterNodes(await link.text('CLUSTER', 'NODES'), link.address.host)),
    )
    const strangers = all.filter(({ from, toId }) => {
      const line = views[links.indexOf(from)]?.find(({ id }) => id === toId)
      return !hasMet(line)
    })
    if (strangers.length === 0) return { done: undefined }
    if (performance.now() - metAtMs > INTRODUCTION_MS) {
      await Promise.all(strangers.map(meet))
      metAtMs = performance.now()
    }
    return { missing: strangers.map(({ from, to }) => notThrough(nameOf(from.address), to)) }
  })
}
