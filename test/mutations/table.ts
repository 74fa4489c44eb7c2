import type { Mutation, Patch } from './mutation.js'

const lua =
  (name: string) =>
  (find: string, put: string): Patch => ({ file: `src/scripts/${name}.lua`, find, put })
const ts =
  (file: string) =>
  (find: string, put: string): Patch => ({ file: `src/${file}.ts`, find, put })

const enqueue = lua('enqueue')
const exchange = lua('exchange')
const noFlag = (script: string) => lua(script)('-- Flags allow-oom\n', '')
const SINGLE = ['test/single/behaviour.test.ts', 'test/single/bundles.test.ts', 'test/single/worker.test.ts']
const inSingle = (only: string) => ({ files: SINGLE, only })
const regression = (...names: string[]) => ({
  files: names.map((name) => `test/regressions/${name}.test.ts`),
})
const inFake = (file: string, only: string) => ({ files: [`test/fake/${file}.test.ts`], only })

/** Each protection that is taken out, one at a time. What it costs to add one is a line here; what it shows is that a test needs it. */
export const MUTATIONS: readonly Mutation[] = [
  // ---- what is stored, once
  {
    name: 'batch-number',
    protects: 'a batch that comes twice is stored once',
    patches: [enqueue('if seq <= last or seq == 0 then', 'if false then')],
    noticedBy: { files: ['test/single/protections.test.ts'], only: 'the same batch twice' },
  },
  {
    name: 'void-number',
    protects: 'a batch that arrives after its tasks were taken back is not stored',
    patches: [lua('void')('if out[1] < tonumber(ARGV[1]) then', 'if false then')],
    noticedBy: { files: ['test/single/protections.test.ts'], only: 'a batch that comes after' },
  },
  {
    name: 'idempotency-key',
    protects: 'one task for one idempotency key',
    patches: [enqueue("redis.call('SET', KEYS[8 + i], id, 'NX', 'GET', 'PX', ARGV[4])", 'nil')],
    noticedBy: inSingle('stores one task for one idempotency key'),
  },
  {
    name: 'bundled-count-on-enqueue',
    protects: 'the count of what bundles stand for',
    patches: [enqueue("redis.call('HINCRBY', KEYS[8], level - 1, tasks - count)", '')],
    noticedBy: inSingle('are handed out as far as they are wanted'),
  },
  {
    name: 'wake',
    protects: 'a consumer that waits hears of a task at once',
    patches: [enqueue("redis.call('SPUBLISH', ARGV[1], woken)", '')],
    noticedBy: inSingle('wakes a blocked dequeue when a task comes'),
  },
  // ---- leases
  {
    name: 'fencing-complete',
    protects: 'only the holder of the lease completes a task',
    patches: [
      exchange(
        'holds(set, name, KEYS[4], KEYS[13]) then',
        'holds(set, name, KEYS[4], KEYS[13]) or true then',
      ),
    ],
    noticedBy: inSingle('gives a task out again when its lease runs out, and refuses the late holder'),
  },
  {
    name: 'fencing-fail',
    protects: 'only the holder of the lease fails a task',
    patches: [
      lua('fail')(
        'if not holds(KEYS[11], ARGV[3], KEYS[4], KEYS[12]) then',
        'if not holds(KEYS[11], ARGV[3], KEYS[4], KEYS[12]) and false then',
      ),
    ],
    noticedBy: { files: ['test/single/protections.test.ts'], only: 'a late holder' },
  },
  {
    name: 'fencing-extend',
    protects: 'only the holder of the lease extends it',
    patches: [lua('extend')("if redis.call('SISMEMBER', KEYS[3], ARGV[1]) == 0 then", 'if false then')],
    noticedBy: { files: ['test/single/protections.test.ts'], only: 'a late holder' },
  },
  {
    name: 'fencing-checkpoint',
    protects: 'only the holder of the lease saves checkpoints',
    patches: [lua('checkpoint')('if #KEYS == 4 and', 'if false and')],
    noticedBy: { files: ['test/single/protections.test.ts'], only: 'a late holder' },
  },
  {
    name: 'fencing-release',
    protects: 'only the holder of the lease hands a task back',
    patches: [
      lua('release')(
        "if redis.call('SREM', KEYS[6], name) == 0 then",
        "if redis.call('SREM', KEYS[6], name) < 0 then",
      ),
    ],
    noticedBy: { files: ['test/single/protections.test.ts'], only: 'a late holder' },
  },
  {
    name: 'fencing-renew',
    protects: 'a lease that ran out is not brought back by its holder',
    patches: [
      lua('renew')("if redis.call('ZSCORE', KEYS[1], ARGV[i]) then", 'if true then'),
      lua('renew')("'XX', 'GT', ", ''),
    ],
    noticedBy: { files: ['test/single/protections.test.ts'], only: 'a late holder' },
  },
  {
    name: 'renew-never-shortens',
    protects: 'a delivery that was extended keeps its longer lease',
    patches: [lua('renew')("'XX', 'GT', ", "'XX', ")],
    noticedBy: { files: ['test/single/protections.test.ts'], only: 'an extended lease' },
  },
  {
    name: 'recover-only-what-ran-out',
    protects: 'a lease that was renewed meanwhile is not given away',
    patches: [lua('recover')('if expiry and tonumber(expiry) > now then', 'if false then')],
    noticedBy: { files: ['test/single/protections.test.ts'], only: 'a lease that runs' },
  },
  {
    name: 'recover-counts-attempts',
    protects: 'a task that kills its workers ends among the dead letters',
    patches: [lua('recover')("redis.call('HINCRBY', KEYS[5], id, 1)", '0')],
    noticedBy: inSingle('moves a task that never comes back to the dead letters'),
  },
  {
    name: 'heartbeat',
    protects: 'the lease of a long task is kept alive',
    patches: [
      ts('worker/heartbeat')('this.#timer ??= setInterval(', 'if (false) this.#timer ??= setInterval('),
    ],
    noticedBy: inSingle('keeps the lease of a long task alive'),
  },
  {
    name: 'lease-ends-when-empty',
    protects: 'a lease without tasks leaves no entry behind',
    patches: [lua('fail')("redis.call('ZREM', KEYS[7], ARGV[2])", '')],
    noticedBy: inSingle('retries with backoff, then keeps the task'),
  },
  {
    name: 'lease-keeps-the-rest',
    protects: 'completing a part of a lease leaves it with the others',
    patches: [exchange("if redis.call('EXISTS', set) == 0 then", 'if true then')],
    noticedBy: { files: ['test/single/protections.test.ts'], only: 'the rest of a lease' },
  },
  // ---- order, times, places
  {
    name: 'due-times',
    protects: 'a delayed task is not ready before its time',
    patches: [
      lua('tend')('if head[2] and tonumber(head[2]) <= now then', 'if head[2] then'),
      lua('tend')(
        "local ids = redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', nowText, 'LIMIT', 0, most)",
        "local ids = redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', '+inf', 'LIMIT', 0, most)",
      ),
    ],
    noticedBy: inSingle('makes a delayed task ready at its time, not before'),
  },
  {
    name: 'scheduled-once',
    protects: 'a task that becomes ready is scheduled no more',
    patches: [lua('tend')("redis.call('ZREM', KEYS[5], unpack(ids))", '')],
    noticedBy: inSingle('makes a delayed task ready at its time, not before'),
  },
  {
    name: 'results-forgotten',
    protects: 'results are forgotten after their time',
    patches: [lua('tend')("redis.call('HDEL', KEYS[8], unpack(old))", '')],
    noticedBy: { files: ['test/single/protections.test.ts'], only: 'results' },
  },
  {
    name: 'paused',
    protects: 'a paused queue hands out nothing',
    patches: [exchange("if wanted > 0 and redis.call('EXISTS', KEYS[8]) == 0 and", 'if wanted > 0 and')],
    noticedBy: inSingle('holds back every task until resume'),
  },
  {
    name: 'priority-order',
    protects: 'higher priorities come first',
    patches: [exchange("string.gmatch(ARGV[4], '%d')", "string.gmatch(string.reverse(ARGV[4]), '%d')")],
    noticedBy: { files: ['test/single/protections.test.ts'], only: 'priority' },
  },
  {
    name: 'release-to-the-head',
    protects: 'what is handed back comes first again, in its order',
    patches: [lua('release')('for i = #names, 1, -1 do', 'for i = 1, #names do')],
    noticedBy: { files: ['test/single/protections.test.ts'], only: 'the order' },
  },
  {
    name: 'dead-letters-only',
    protects: 'only dead tasks can be removed as dead letters',
    patches: [lua('dead-remove')("if redis.call('ZREM', KEYS[1], ARGV[i]) == 1 then", 'if true then')],
    noticedBy: { files: ['test/single/protections.test.ts'], only: 'dead letters' },
  },
  {
    name: 'errors-go-with-the-dead',
    protects: 'a dead letter that is tried again leaves no error behind',
    patches: [lua('dead-retry')("redis.call('HDEL', KEYS[7], id)", '')],
    noticedBy: inSingle('lists dead letters in pages, retries and purges them'),
  },
  // ---- bundles
  {
    name: 'bundle-apart-on-void',
    protects: 'of a bundle, those that are not taken back stay',
    patches: [lua('void')('takeApart(KEYS[4], bundle)', "redis.call('HDEL', KEYS[4], bundle)")],
    noticedBy: inSingle('stay, but for those that are taken back while'),
  },
  {
    name: 'bundle-apart-in-lease',
    protects: 'what became of one task of a bundle does not become of the others',
    patches: [
      {
        file: 'src/scripts/shared/bundle.lua',
        find: "redis.call('SADD', lease, unpack(ids))",
        put: "redis.call('SADD', lease, id)",
      },
    ],
    noticedBy: inSingle('go their own ways from when one does'),
  },
  // ---- the client, against servers that are told what to answer
  {
    name: 'newest-epoch-wins',
    protects: 'a master with an old view is not believed',
    patches: [
      ts('connection/topology')(
        'this.#owners[slot] === undefined || claimed >= epoch',
        'this.#owners[slot] === undefined || claimed >= 0',
      ),
    ],
    noticedBy: inFake('redirects', 'a master with an older epoch is not believed'),
  },
  {
    name: 'wait-for-a-replica',
    protects: 'acknowledged means replicated',
    patches: [
      ts('queue/producer')('else if (outcome.confirmed) this.#confirmed(', 'else if (true) this.#confirmed('),
    ],
    noticedBy: inFake('shards', 'is no confirmation'),
  },
  {
    name: 'taken-back-before-elsewhere',
    protects: 'a task that no replica confirmed is not left behind where it was',
    patches: [
      ts('queue/producer')(
        'await this.#move(lane, { ...batch, items: moving, storedAt: { node, generation } })',
        'for (const item of moving) this.#loose.putBack(item)',
      ),
    ],
    noticedBy: inFake('refusals', 'goes elsewhere, and the first copy is removed'),
  },
  {
    name: 'copies-removed-later',
    protects: 'copies of a task that was confirmed elsewhere are removed',
    patches: [ts('queue/producer')('      lane.voidLater(item)\n', '')],
    noticedBy: inFake(
      'silence',
      'a task without a key goes elsewhere, and a copy that may be there is removed',
    ),
  },
  {
    name: 'same-batch-again',
    protects: 'a task with a key is sent again as the same batch',
    patches: [
      ts('queue/producer')(
        '    lane.sendAgain({ ...batch, items: staying, askFirst })',
        '    lane.sendAgain(lane.newBatch(staying))',
      ),
    ],
    noticedBy: inFake('silence', 'a task with a key is sent again as the same batch'),
  },
  {
    name: 'short-until-confirmed',
    protects: 'a shard that does not confirm gets no task until it does',
    patches: [ts('queue/gate')("    if (this.#short.has(node)) return 'short'\n", '')],
    noticedBy: inFake('shards', 'takes no task, with a key or without'),
  },
  {
    name: 'recent-batches',
    protects: 'what a master forgot that was confirmed a moment ago is stored again',
    patches: [
      ts('queue/producer-lane')(
        'if (restores < MOST_RESTORES) this.#recent.add(',
        'if (false) this.#recent.add(',
      ),
    ],
    noticedBy: inFake('shards', 'has what was confirmed stored again'),
  },
  {
    name: 'keyed-waits-for-a-replica',
    protects: 'a task with a key is not run before a replica knows that it was taken',
    patches: [ts('queue/consumer-lane')('if (known && lifeIsSame) {', 'if (lifeIsSame) {')],
    noticedBy: inFake('consumer', 'a task with a key waits until a replica knows'),
  },
  {
    name: 'completion-waits-for-a-replica',
    protects: 'a completion is told when a replica knows of it',
    patches: [
      ts('queue/durability')(
        "if (answer === 'confirmed') return 'safe'",
        "if (answer !== 'broken') return 'safe'",
      ),
    ],
    noticedBy: inFake('consumer', 'waits for the replica that the cluster counts on'),
  },
  {
    name: 'completion-again-at-the-new-master',
    protects: 'a completion that was lost with its master is repeated',
    patches: [
      ts('queue/settling')(
        '        this.again(done)\n',
        '        for (const each of done) each.receiver.acknowledged()\n',
      ),
    ],
    noticedBy: inFake('consumer', 'is done again at the new master'),
  },
  {
    name: 'gone-only-while-ours',
    protects: 'a completion that somebody else may have made is refused',
    patches: [
      ts('queue/consumer-lane')(
        "settled === 'gone' && acknowledgement.resent && leaseNow() < acknowledgement.oursUntilMs",
        "settled === 'gone'",
      ),
    ],
    noticedBy: inFake('consumer', 'of a task that somebody else has completed meanwhile is refused'),
  },
  {
    name: 'resent-completion-is-a-success',
    protects: 'a completion whose reply was lost is a success the second time',
    patches: [
      ts('queue/consumer-lane')('for (const acknowledgement of sent) acknowledgement.resent = true', ''),
    ],
    noticedBy: inFake('consumer', 'that was carried out although its reply was lost'),
  },
  {
    name: 'script-unknown',
    protects: 'a server that forgot a script is given its text',
    patches: [
      ts('connection/connection')(
        "fault.kind === 'noscript' &&",
        "fault.kind === 'ask' && fault.kind === ('noscript' as string) &&",
      ),
    ],
    noticedBy: inFake('refusals', 'has the same call sent with the text of the script'),
  },
  {
    name: 'asking',
    protects: 'a slot on its way is asked for at the node that it goes to',
    patches: [ts('connection/connection')("        asking = fault.kind === 'ask'", '        asking = false')],
    noticedBy: inFake('redirects', 'sends ASKING and the same call'),
  },
  {
    name: 'redirects-bounded',
    protects: 'redirects in a circle end',
    patches: [ts('connection/connection')('redirects < MOST_REDIRECTS', 'redirects < 60')],
    noticedBy: inFake('redirects', 'without a host, or round in a circle'),
  },
  ...['renew', 'recover', 'tend', 'fail', 'release', 'extend', 'touch', 'void', 'pause'].map((script) => ({
    name: `runs-while-memory-is-full-${script}`,
    protects: `${script}.lua runs while memory is full`,
    patches: [noFlag(script)],
    noticedBy: { files: ['test/single/memory-full.test.ts'] },
  })),
  {
    name: 'new-id-when-taken-back',
    protects: 'a partition never gets the same name twice',
    patches: [ts('queue/item')('      this.forgetId()\n    } else {', '    } else {')],
    noticedBy: { files: ['test/fake/take-back.test.ts', 'test/regressions/05-takeback-double.test.ts'] },
  },
  {
    name: 'no-second-visit',
    protects: 'a partition that has, or had, a task under its id does not get it again',
    patches: [
      ts('queue/item')(
        'return this.#visited === undefined || !this.#visited.includes(partition)',
        'return true',
      ),
    ],
    noticedBy: { files: ['test/fake/take-back.test.ts', 'test/regressions/05-takeback-double.test.ts'] },
  },
  {
    name: 'stamps',
    protects: 'a clone with the same numbers is told apart',
    patches: [enqueue('(seq < last or stamp ~= lastStamp)', 'false')],
    noticedBy: regression('71-cloned-process'),
  },
  {
    name: 'names-that-stand-already',
    protects: 'a batch with a name that stands there is not stored',
    patches: [enqueue('  if #there > 0 then', '  if false then')],
    noticedBy: { files: ['test/single/copies.test.ts'] },
  },
  {
    name: 'masters-that-take-none',
    protects: 'one master that refuses does not stop tasks for others',
    patches: [ts('queue/dealer')('    return !takes\n', '    return false\n')],
    noticedBy: regression('06-balance-stall'),
  },
  {
    name: 'nearest-time-wins',
    protects: 'a look that is due is not put off by news',
    patches: [
      ts('queue/maintenance')('let dueAtMs = this.#dueAtMs\n', 'let dueAtMs = Number.POSITIVE_INFINITY\n'),
    ],
    noticedBy: regression('45-lease-starved', '04-results-leak'),
  },
  {
    name: 'all-in-sync-replicas',
    protects: 'every replica that could be promoted has confirmed',
    patches: [
      ts('connection/confirmation')(
        "if (confirm === 'all' || inSync === 0) return inSync",
        'if (inSync >= 0) return Math.min(1, inSync)',
      ),
    ],
    noticedBy: { files: ['test/unit/confirmation.test.ts', 'test/fake/replication.test.ts'] },
  },
  {
    name: 'copies-of-the-number-of-partitions',
    protects: 'the number of partitions survives the loss of its one key',
    patches: [ts('keys/keys')('const COUNT_COPIES = 8\n', 'const COUNT_COPIES = 0\n')],
    noticedBy: regression('26-partitions-forgotten'),
  },
  {
    name: 'settle-once',
    protects: 'a delivery is settled once, whoever calls',
    patches: [
      ts('queue/delivery')(
        '    if (this.#settlement?.call === call) return this.#settlement.promise as Promise<Result>\n',
        '',
      ),
    ],
    noticedBy: regression('settle-once'),
  },
  {
    name: 'followed-deliveries',
    protects: 'what a handler does not await does not end the process',
    patches: [ts('queue/delivery')('    if (this.followed) promise.catch(() => {})\n', '')],
    noticedBy: regression('settle-once', '09b-double-complete-worker'),
  },
]
