/**
 * A process that uses the cluster as an application does that knows nothing of the queue: `application.ts JSON`. It writes keys of every type,
 * each in one go and no two at a time of one key, reads them back, and says what was not as it had been acknowledged.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { Cluster } from 'ioredis'
import { Random } from '../../../chaos/storm/random.js'
import { KINDS } from './kinds.js'
import { type Lost, OwnKey } from './own-key.js'

export interface ApplicationSpec {
  readonly seeds: readonly { readonly host: string; readonly port: number }[]
  readonly seed: number
}

export type ToApplication = 'go' | 'pause' | 'account'
export type FromApplication =
  | { readonly what: 'ready' | 'quiet' }
  | ({ readonly what: 'account' } & ForeignAccount)

export interface ForeignAccount {
  readonly keys: number
  readonly acknowledged: number
  /** Writes that were refused, or of which no reply came. */
  readonly unsure: number
  readonly reads: number
  readonly lost: readonly Lost[]
  /** Why writes and reads failed, and how often. */
  readonly errors: Readonly<Record<string, number>>
}

const TAGS = 40
const WRITERS = 8
/** Ms between two writes of a writer, about. */
const REST_MS = 120
const READ_SHARE = 0.25
/** Of the writes, those whose reply is not waited for: all connections are cut right after they were sent. */
const CUT_SHARE = 0.005
/** Until a cluster that is said to be whole has shown a key. */
const LOOK_MS = 15_000
/** Longer than a server is busy at once; after it, whether a write was done is unknown. */
const COMMAND_MS = 5_000

const spec = JSON.parse(process.argv[2] ?? '') as ApplicationSpec
const redis = new Cluster([...spec.seeds], {
  // A write that may have been done already is not sent again behind our back.
  retryDelayOnFailover: 0,
  redisOptions: { commandTimeout: COMMAND_MS },
})
const errors = new Map<string, number>()
const lost: Lost[] = []
let [acknowledged, unsure, reads, written] = [0, 0, 0, 0]
let going = false
let busy = 0
// Each command says itself what it failed with.
redis.on('error', () => {})

const known = await commandsOf(redis)
const kinds = Object.entries(KINDS).filter(([, { needs }]) => needs === undefined || known.has(needs))
const keys = Array.from({ length: TAGS }, (_, tag) =>
  kinds.map(([name, kind]) => new OwnKey(`{shop ${tag}}:${name}`, name, kind)),
).flat()

async function commandsOf(redis: Cluster): Promise<ReadonlySet<string>> {
  const infos = (await redis.call('COMMAND', 'LIST')) as string[]
  return new Set(infos.map((name) => name.toUpperCase()))
}

async function writer(own: readonly OwnKey[], random: Random): Promise<never> {
  for (;;) {
    await sleep(random.between(REST_MS / 2, REST_MS * 1.5))
    const key = random.pick(own)
    if (!going || !key.mayBeUsed) continue
    busy++
    if (key.isUnsure || random.next() < READ_SHARE) await look(key)
    else await write(key, random)
    busy--
  }
}

async function write(key: OwnKey, random: Random): Promise<void> {
  written++
  if (random.next() < CUT_SHARE) setImmediate(cutAll)
  try {
    await key.write(redis, written, random)
    acknowledged++
  } catch (error) {
    unsure++
    count(error as Error)
  }
}

function cutAll(): void {
  for (const node of redis.nodes('master')) node.disconnect()
}

/** @returns whether it could be looked at */
async function look(key: OwnKey): Promise<boolean> {
  try {
    const wrong = await key.look(redis)
    if (wrong) lost.push(wrong)
    reads++
    return true
  } catch (error) {
    count(error as Error)
    return false
  }
}

function count({ name, message }: Error): void {
  const text = `${name}: ${message.replaceAll(/\d+/g, 'N').slice(0, 100)}`
  errors.set(text, (errors.get(text) ?? 0) + 1)
}

async function account(): Promise<ForeignAccount> {
  const deadlineMs = performance.now() + LOOK_MS
  let left = keys.filter((key) => !key.isLost)
  for (;;) {
    const after: OwnKey[] = []
    for (const key of left) if (!key.mayBeUsed || !(await look(key))) after.push(key)
    left = after.filter((key) => !key.isLost)
    if (left.length === 0) break
    if (performance.now() > deadlineMs) {
      for (const { name, kindName } of left)
        lost.push({ key: name, kind: kindName, expected: 'an answer', found: `none within ${LOOK_MS} ms` })
      break
    }
    await sleep(200)
  }
  return {
    keys: keys.length,
    ...{ acknowledged, unsure, reads, lost, errors: Object.fromEntries(errors) },
  }
}

const tell = (message: FromApplication) => void process.send?.(message)

process.on('message', async (message: ToApplication) => {
  going = message === 'go'
  if (message === 'go') return
  while (busy > 0) await sleep(10)
  if (message === 'pause') tell({ what: 'quiet' })
  else tell({ what: 'account', ...(await account()) })
})
process.on('disconnect', () => process.exit())
// Ctrl-C on a terminal reaches every process; the parent decides when we end.
process.on('SIGINT', () => {})

for (let i = 0; i < WRITERS; i++)
  void writer(
    keys.filter((_, k) => k % WRITERS === i),
    new Random(spec.seed * WRITERS + i),
  )
tell({ what: 'ready' })
