import type { Mutation, Patch } from './mutation.js'

const at =
  (file: string) =>
  (find: string, put: string): Patch => ({ file: `src/${file}`, find, put })
const noFlag = (script: string) => ({
  file: `src/scripts/${script}.lua`,
  find: '-- Flags allow-oom\n',
  put: '',
})
const regression = (...names: string[]) => ({
  files: names.map((name) => `test/regressions/${name}.test.ts`),
})

/**
 * Protections that are made on other branches, by the text that stands there. Run with `--pending`; once all are on one branch, these
 * lines belong into table.ts.
 */
export const PENDING: readonly Mutation[] = [
  ...['renew', 'recover', 'tend', 'fail', 'release', 'extend', 'touch', 'void', 'pause'].map((script) => ({
    name: `runs-while-memory-is-full-${script}`,
    protects: `${script}.lua runs while memory is full`,
    patches: [noFlag(script)],
    noticedBy: { files: ['test/single/memory-full.test.ts'] },
  })),
  {
    name: 'completed-once-by-name',
    protects: 'a task that is acknowledged twice in one call is counted once',
    patches: [at('scripts/exchange.lua')('    if done[name] then\n', '    if false then\n')],
    noticedBy: regression('09-double-complete-orphans'),
  },
  {
    name: 'new-id-when-taken-back',
    protects: 'a partition never gets the same name twice',
    patches: [at('queue/item.ts')('      this.forgetId()\n    } else {', '    } else {')],
    noticedBy: { files: ['test/fake/take-back.test.ts', 'test/regressions/05-takeback-double.test.ts'] },
  },
  {
    name: 'no-second-visit',
    protects: 'a partition that has, or had, a task under its id does not get it again',
    patches: [
      at('queue/item.ts')(
        'return this.#visited === undefined || !this.#visited.includes(partition)',
        'return true',
      ),
    ],
    noticedBy: { files: ['test/fake/take-back.test.ts', 'test/regressions/05-takeback-double.test.ts'] },
  },
  {
    name: 'stamps',
    protects: 'a clone with the same numbers is told apart',
    patches: [at('scripts/enqueue.lua')('(seq < last or stamp ~= lastStamp)', 'false')],
    noticedBy: regression('71-cloned-process'),
  },
  {
    name: 'names-that-stand-already',
    protects: 'a batch with a name that stands there is not stored',
    patches: [at('scripts/enqueue.lua')('  if #there > 0 then', '  if false then')],
    noticedBy: { files: ['test/single/copies.test.ts'] },
  },
  {
    name: 'masters-that-take-none',
    protects: 'one master that refuses does not stop tasks for others',
    patches: [at('queue/dealer.ts')('    return !takes\n', '    return false\n')],
    noticedBy: regression('06-balance-stall'),
  },
  {
    name: 'nearest-time-wins',
    protects: 'a look that is due is not put off by news',
    patches: [
      at('queue/maintenance.ts')('let dueAtMs = this.#dueAtMs\n', 'let dueAtMs = Number.POSITIVE_INFINITY\n'),
    ],
    noticedBy: regression('45-lease-starved', '04-results-leak'),
  },
  {
    name: 'all-in-sync-replicas',
    protects: 'every replica that could be promoted has confirmed',
    patches: [
      at('connection/confirmation.ts')(
        "if (confirm === 'all' || inSync === 0) return inSync",
        'if (inSync >= 0) return Math.min(1, inSync)',
      ),
    ],
    noticedBy: { files: ['test/unit/confirmation.test.ts', 'test/fake/replication.test.ts'] },
  },
  {
    name: 'copies-of-the-number-of-partitions',
    protects: 'the number of partitions survives the loss of its one key',
    patches: [at('keys/keys.ts')('const COUNT_COPIES = 8\n', 'const COUNT_COPIES = 0\n')],
    noticedBy: regression('26-partitions-forgotten'),
  },
  {
    name: 'settle-once',
    protects: 'a delivery is settled once, whoever calls',
    patches: [
      at('queue/delivery.ts')(
        '    if (this.#settlement?.call === call) return this.#settlement.promise as Promise<Result>\n',
        '',
      ),
    ],
    noticedBy: regression('settle-once'),
  },
  {
    name: 'followed-deliveries',
    protects: 'what a handler does not await does not end the process',
    patches: [at('queue/delivery.ts')('    if (this.followed) promise.catch(() => {})\n', '')],
    noticedBy: regression('settle-once', '09b-double-complete-worker'),
  },
]
