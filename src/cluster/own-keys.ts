import { randomBytes } from 'node:crypto'
import { slotOf } from '../keys/slots.js'
import type { NodeLink } from './link.js'
import type { SlotRange } from './slots.js'

/** The lock, and who holds it (operation). */
export const OPERATION_KEY = 'shardq:operation'
/** What nodes are owed by operations that were cut off (owed). */
export const OWED_KEY = 'shardq:owed'
/** How far a rolling restart is (rolling). */
export const ROLLING_KEY = 'shardq:rolling-restart'
/** That the cluster is being filled from a backup (backup). */
export const RESTORE_KEY = 'shardq:restore'

/**
 * Every key in which the tools write down something of a cluster in that cluster, with its type. All of them speak of its nodes and of what is
 * done to them, so they mean nothing in another cluster, and are no content. Not among them are `readyKey` and `shardq:confirm:…`
 * (move/confirm.ts), which run out by themselves, within seconds, wherever they are.
 */
const TYPES: ReadonlyMap<string, string> = new Map([
  [OPERATION_KEY, 'string'],
  [OWED_KEY, 'hash'],
  [ROLLING_KEY, 'string'],
  [RESTORE_KEY, 'hash'],
])

export const OWN_KEYS: readonly string[] = [...TYPES.keys()]

export interface OwnKey {
  readonly name: string
  readonly type: string
  /** Under our name, and of our type. Otherwise it is somebody else's, and a key like any other. */
  readonly isNote: boolean
  readonly expires: boolean
}

/** Whether a key of one of our names is of our type. Any other is somebody else's. */
export const isNote = (name: string, type: string): boolean => TYPES.get(name) === type

/** What a server has under these names. @param names served by it */
export async function ownKeysOn(link: NodeLink, names = OWN_KEYS): Promise<OwnKey[]> {
  const found = await Promise.all(
    names.map(async (name) => {
      const [type, expiry] = await Promise.all([link.bytes('TYPE', name), link.bytes('PEXPIRETIME', name)])
      return {
        name,
        // Its time may have been over between the two.
        type: Number(expiry) === -2 ? 'none' : String(type),
        isNote: isNote(name, String(type)),
        expires: Number(expiry) >= 0,
      }
    }),
  )
  return found.filter(({ type }) => type !== 'none')
}

/** Names of the notes among them. */
export async function notesOn(link: NodeLink, names = OWN_KEYS): Promise<string[]> {
  return (await ownKeysOn(link, names)).filter(({ isNote }) => isNote).map(({ name }) => name)
}

/**
 * A key to try whether the owner of these slots takes a write (ready.ts). Another one each time, so that it is nobody else's, and in any of
 * the slots, since one of them may be open. An owner of one slot costs some 20 ms of trying.
 */
export function readyKey(slots: readonly SlotRange[]): string {
  const token = randomBytes(16).toString('hex')
  for (let number = 0; ; number++) {
    const key = `shardq:ready:${token}:${number}`
    const slot = slotOf(key)
    if (slots.some(([first, last]) => first <= slot && slot <= last)) return key
  }
}
