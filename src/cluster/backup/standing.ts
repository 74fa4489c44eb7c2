import { setTimeout as sleep } from 'node:timers/promises'
import { BackupRefusedError, InterruptedError, KeyTakenError } from '../errors.js'
import { type Address, type LinkOptions, nameOf, withLink } from '../link.js'
import { type Observation, Observer } from '../observer.js'
import { isLeftBehind, readNote } from '../operation/holder.js'
import { KeyLink } from '../operation/key-link.js'
import { isNote, OPERATION_KEY, RESTORE_KEY } from '../own-keys.js'
import type { NodeView } from '../replies.js'
import { ALL_SLOTS, countIn, parseOpenSlots, rangeText, type SlotRange } from '../slots.js'
import { campsOf, differencesOf, noWitness, selfOf, type Witness, witnessesOf } from '../views.js'
import { lastSaveOf } from './own-disk.js'

/** A master that serves slots. */
export interface Owner {
  readonly id: string
  readonly name: string
  readonly address: Address
  readonly slots: readonly SlotRange[]
  /** Raised by every election and every slot that is won. */
  readonly epoch: number
  /** Another one after each start of its process. */
  readonly run: string
  /** How far its log of writes was when it was looked at. */
  readonly offset: number
  /** How often it was told to do what moves slots. */
  readonly moves: number
  /** How its last save to its own disk went: `ok` or `err`. */
  readonly lastSave: string
}

/** Who serves what, as all nodes that answer agree. */
export interface Standing {
  readonly owners: readonly Owner[]
  readonly epoch: number
  readonly nodes: readonly NodeView[]
  /** Nodes that do not answer and serve nothing, by name. */
  readonly silent: readonly string[]
  readonly observation: Observation
}

export interface StandingOptions extends LinkOptions {
  /** Longest wait for a cluster in which something is not as it should be, in ms. Default 10,000. */
  readonly agreeMs?: number
  readonly signal?: AbortSignal | undefined
}

const addressesOf = ({ owners }: Standing) => owners.map(({ address }) => address)

const POLL_MS = 200
const COMMAND_MS = 5_000

/**
 * Waits until every slot has an owner that answers, none is open, all views are one, no key lies where its owner is not, and nothing else
 * changes the cluster.
 * @throws BackupRefusedError with all that is wrong; what no node answers with; AuthenticationError
 */
export async function standingOf(seeds: readonly Address[], options: StandingOptions): Promise<Standing> {
  const deadline = performance.now() + (options.agreeMs ?? 10_000)
  const observer = new Observer(seeds, options)
  try {
    for (;;) {
      if (options.signal?.aborted) throw new InterruptedError('the backup')
      const found = judge(await observer.observe())
      const faults =
        'faults' in found
          ? found.faults
          : [...(await operationsOn(addressesOf(found), options)), ...(await strayKeys(found, options))]
      if (!('faults' in found) && faults.length === 0) return found
      if (performance.now() > deadline) throw new BackupRefusedError(await withCause(faults, seeds, options))
      await sleep(POLL_MS)
    }
  } finally {
    observer.close()
  }
}

/** What is wrong, or who serves what. @throws when no node that answers is one of a cluster */
export function judge(observation: Observation): Standing | { readonly faults: readonly string[] } {
  const witnesses = witnessesOf(observation)
  const [camp, ...others] = campsOf(observation)
  if (!camp) throw noWitness(observation)
  const faults = [
    ...differencesOf([camp, ...others]),
    ...doubles(witnesses),
    ...witnesses.flatMap(({ name, clusterInfo }) =>
      clusterInfo.get('cluster_state') === 'ok' ? [] : [`${name} says cluster_state:fail`],
    ),
    ...witnesses.flatMap((each) =>
      parseOpenSlots(selfOf(each)?.openSlots ?? []).map(
        ({ slot, direction }) => `slot ${slot} is open (${direction} on ${each.name})`,
      ),
    ),
  ]
  const serving = camp.view.filter(({ slots }) => slots.length > 0)
  const covered = serving.reduce((sum, { slots }) => sum + countIn(slots), 0)
  if (covered !== ALL_SLOTS) faults.push(`${ALL_SLOTS - covered} of ${ALL_SLOTS} slots have no owner`)
  const owners = serving.flatMap((view) => {
    const witness = witnesses.find((each) => selfOf(each)?.id === view.id)
    if (!witness) {
      faults.push(`${nameOf(view)}, which serves slots ${rangeText(view.slots, 5)}, does not answer`)
      return []
    }
    return [ownerOf(view, witness)]
  })
  if (faults.length > 0) return { faults }
  const answering = new Set(witnesses.map((each) => selfOf(each)?.id))
  const silent = camp.view.filter(({ id }) => !answering.has(id)).map(nameOf)
  return { owners, epoch: camp.epoch, nodes: camp.view, silent, observation }
}

const ownerOf = (view: NodeView, witness: Witness): Owner => ({
  id: view.id,
  name: nameOf(view),
  address: witness.address,
  slots: view.slots,
  epoch: selfOf(witness)?.configEpoch ?? view.configEpoch,
  run: witness.info.get('run_id') ?? '',
  offset: Number(witness.info.get('master_repl_offset') ?? 0),
  moves: movesOf(witness.info),
  lastSave: lastSaveOf(witness.info),
})

/** Of INFO commandstats: also what other tools send, and what is taken back again, which leaves no other trace. */
const MOVING = /^cmdstat_(migrate|restore-asking|cluster\|(setslot|.*migrat.*|syncslots))$/

/** Without calls that failed: by such, tools find out what they may do. */
function movesOf(info: ReadonlyMap<string, string>): number {
  let moves = 0
  for (const [name, value] of info) {
    if (!MOVING.test(name)) continue
    const count = (of: RegExp) => Number(of.exec(value)?.[1] ?? 0)
    moves += count(/^calls=(\d+)/) - count(/failed_calls=(\d+)/)
  }
  return moves
}

/** A node started on a copy of another's nodes.conf takes its slots away, and clients read nothing there. */
function doubles(witnesses: readonly Witness[]): string[] {
  const byId = new Map<string, string[]>()
  for (const each of witnesses) {
    const id = selfOf(each)?.id ?? ''
    byId.set(id, [...(byId.get(id) ?? []), each.name])
  }
  return [...byId]
    .filter(([, names]) => names.length > 1)
    .map(([id, names]) => `${names.join(' and ')} have the same id ${id}`)
}

/** ARGV: slots that are its own, first, last, first, last, ... Returns five of the others that have keys. */
const STRAYS = `
local own, found = {}, {}
for i = 1, #ARGV, 2 do
  for slot = tonumber(ARGV[i]), tonumber(ARGV[i + 1]) do own[slot] = true end
end
for slot = 0, ${ALL_SLOTS - 1} do
  if not own[slot] and #found < 5 and redis.call('CLUSTER', 'COUNTKEYSINSLOT', slot) > 0 then found[#found + 1] = slot end
end
return found`

/**
 * They would be put where their slot is, over what clients have been using. Asked by one script, for which a master stands still
 * for some ms; slot by slot it would take longer than the backup.
 */
async function strayKeys({ owners }: Standing, access: LinkOptions): Promise<readonly string[]> {
  const faults = await Promise.all(
    owners.map(({ address, name, slots }) =>
      withLink(address, access, async (link) => {
        const stray = (await link.reply('EVAL', STRAYS, 0, ...slots.flat())) as number[]
        return stray.length === 0
          ? []
          : [`${name} has keys of slots that it does not own (${stray.join(', ')})`]
      }),
    ),
  )
  return faults.flat()
}

/**
 * What else changes this cluster, by its own word. Nothing else is kept from beginning meanwhile: see docs/decisions/0065.
 * @throws BackupRefusedError where a restore was left half way, which no wait would end
 */
export async function operationsOn(
  nodes: readonly Address[],
  options: StandingOptions,
): Promise<readonly string[]> {
  const link = new KeyLink(nodes, options)
  const ask = (command: string, key: string) =>
    link.call({ timeoutMs: COMMAND_MS, signal: options.signal }, command, key)
  try {
    // What is not from us says nothing of an operation, nor of a restore; that it is there is in the backup's warnings (foreign.ts).
    const note = await ask('GET', OPERATION_KEY).catch((error: Error) => {
      if (error instanceof KeyTakenError) return null
      throw error
    })
    if (note !== null && !(await isLeftBehind(String(note)))) {
      const { operation, since, pid, host } = readNote(String(note))
      return [`${operation} has been running since ${since} (process ${pid} on ${host})`]
    }
    if (isNote(RESTORE_KEY, String(await ask('TYPE', RESTORE_KEY))))
      throw new BackupRefusedError(['a restore into this cluster is not complete'])
    return []
  } finally {
    link.close()
  }
}

/** Where something is wrong, an operation may be why. Of a cluster that cannot be asked, enough is known by what is wrong. */
async function withCause(
  faults: readonly string[],
  nodes: readonly Address[],
  options: StandingOptions,
): Promise<readonly string[]> {
  const operations = await operationsOn(nodes, options).catch((error: Error) =>
    error instanceof BackupRefusedError ? error.reasons : [],
  )
  return [...new Set([...operations, ...faults])]
}

/** What has changed of who serves what; null: nothing. One that lost its slots and has them back counts, by its epoch. */
export function changeBetween(before: Standing, after: Observation): string | null {
  const found = judge(after)
  if ('faults' in found) return found.faults.join('; ')
  for (const owner of before.owners) {
    const now = found.owners.find(({ id }) => id === owner.id)
    if (!now) return `${owner.name} serves no slots any more`
    if (rangeText(now.slots) !== rangeText(owner.slots)) return `${owner.name} serves other slots`
    if (now.epoch !== owner.epoch) return `${owner.name} has won an election (epoch ${now.epoch})`
    if (now.run !== owner.run) return `${owner.name} was started again`
    if (now.moves !== owner.moves) return `slots of ${owner.name} were being moved`
  }
  if (found.owners.length !== before.owners.length) return 'another node serves slots'
  return found.epoch === before.epoch ? null : `the epoch went from ${before.epoch} to ${found.epoch}`
}
