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
const regressionOnly = (file: string, only: string) => ({
  files: [`test/regressions/${file}.test.ts`],
  only,
})
const inUnit = (file: string, only?: string) => ({
  files: [`test/unit/${file}.test.ts`],
  ...(only === undefined ? {} : { only }),
})
const inFake = (file: string, only: string) => ({ files: [`test/fake/${file}.test.ts`], only })
const inChaos = (file: string, only: string) => ({ files: [`test/chaos/${file}.test.ts`], only })

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
    name: 'checkpoint-any-text',
    protects: 'a checkpoint with U+2028 in it can be read again',
    patches: [
      ts('scripts/checkpoint')(
        String.raw`\\.)*") (\d+) /s.exec(line)`,
        String.raw`\\.)*") (\d+) (?=.*$)/.exec(line)`,
      ),
    ],
    noticedBy: regressionOnly('line-separators', 'the steps and the data of checkpoints'),
  },
  {
    name: 'checkpoint-steps',
    protects: 'a task with very many checkpoints does not hold up its master',
    patches: [lua('checkpoint')('if isNew and #lines >= MOST_STEPS then', 'if false then')],
    noticedBy: regressionOnly('many-steps', '1,000 different steps'),
  },
  {
    name: 'fencing-release',
    protects: 'only the holder of the lease hands a task back',
    patches: [
      lua('release')(
        'if not holds(KEYS[6], id, KEYS[4], KEYS[7]) or not leave(id) then',
        'if not leave(id) and false then',
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
    name: 'others-do-not-wait-for-a-keyed-one',
    protects: 'a replica that is late does not hold up tasks without a key that came with one that has a key',
    patches: [ts('queue/consumer-lane')('!(await endsWithin(rest, TOGETHER_MS))', '(await rest) === null')],
    noticedBy: inFake('consumer', 'do not wait for one that has a key'),
  },
  {
    name: 'keyed-part-reaches-the-next-take',
    protects: 'tasks with a key that are confirmed after the rest of their fetch are handed out',
    patches: [
      ts('queue/consumer')(
        '      this.#await(answer.rest.then((batch) => this.#cameLate(state, batch)))\n',
        '      this.#await(answer.rest.then(() => this.#cameLate(state, undefined)))\n',
      ),
    ],
    noticedBy: inFake('consumer', 'has a key is handed out when a replica knows'),
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
  ...['renew', 'touch', 'pause'].map((script) => ({
    name: `runs-while-memory-is-full-${script}`,
    protects: `${script}.lua runs while memory is full`,
    patches: [noFlag(script)],
    noticedBy: { files: ['test/single/memory-full.test.ts'] },
  })),
  // Without the line alone these run on, since their first write frees; with another flag the server refuses the whole script.
  ...[
    'recover',
    'tend',
    'fail',
    'release',
    'extend',
    'void',
    'admit',
    'reassert',
    'dead-retry',
    'dead-remove',
  ].map((script) => ({
    name: `runs-while-memory-is-full-${script}`,
    protects: `${script}.lua runs while memory is full`,
    patches: [lua(script)('-- Flags allow-oom\n', '-- Flags allow-stale\n')],
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
    noticedBy: inFake('take-back', 'does not get it again in another batch'),
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
    noticedBy: inUnit('dealer'),
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
    noticedBy: regression('long/26-partitions-forgotten'),
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
  // ---- what a call names twice, or somebody else's
  {
    name: 'counted-once-in-a-group',
    protects: 'a name that stands twice among those completed counts once',
    patches: [
      exchange(
        "beyond + redis.call('HDEL', KEYS[4], unpack(names))",
        "beyond + math.max(#names, redis.call('HDEL', KEYS[4], unpack(names)))",
      ),
    ],
    noticedBy: { files: ['test/single/duplicate-names.test.ts'], only: 'in one acknowledged group' },
  },
  {
    name: 'bundle-completed-once',
    protects: 'a bundle that two leases hold is completed once, and both leases end',
    patches: [exchange('    if wholes[name] then', '    if false then')],
    noticedBy: { files: ['test/single/duplicate-names.test.ts'], only: 'in two leases' },
  },
  {
    name: 'task-beside-its-bundle',
    protects: 'a task that is acknowledged beside its bundle was completed with it',
    patches: [exchange('if done[name] or (bundle and done[bundle]) then', 'if done[name] then')],
    noticedBy: { files: ['test/single/duplicate-names.test.ts'], only: 'as a task beside its bundle' },
  },
  {
    name: 'handed-out-once',
    protects: 'a name that stands in a list twice is handed out once',
    patches: [exchange('    dropRepeated()\n  end\n  if redis', '  end\n  if redis')],
    noticedBy: {
      files: ['test/single/duplicate-names.test.ts'],
      only: 'in a ready list, is handed out once',
    },
  },
  {
    name: 'lease-id-guard',
    protects: 'a lease id that is taken is not opened for somebody else',
    patches: [exchange(" and not redis.call('ZSCORE', KEYS[7], ARGV[1]) then", ' then')],
    noticedBy: { files: ['test/single/duplicate-names.test.ts'], only: 'of an id that is there already' },
  },
  // ---- what a fetch may hold, and in which order things go back
  {
    name: 'bytes-of-a-fetch',
    protects: 'a fetch hands out half a megabyte at most',
    patches: [exchange('elseif count > 0 and bytes + #record > room then', 'elseif false then')],
    noticedBy: { files: ['test/regressions/12-big-fetch.test.ts'], only: 'no more than half a megabyte' },
  },
  {
    name: 'sorted-on-release',
    protects: 'a lease of which only the id is known goes back in the order of its enqueue',
    patches: [
      lua('release')("sortByEnqueued(redis.call('SMEMBERS', KEYS[6]))", "redis.call('SMEMBERS', KEYS[6])"),
    ],
    noticedBy: {
      files: ['test/single/duplicate-names.test.ts'],
      only: 'goes back in the order in which its tasks were enqueued',
    },
  },
  {
    name: 'sorted-on-recover',
    protects: 'a lease that ran out goes back in the order of its enqueue',
    patches: [lua('recover')('sortByEnqueued(names)\n', '')],
    noticedBy: { files: ['test/single/consumer-scripts.test.ts'], only: 'in the order of their enqueue' },
  },
  {
    name: 'takers-stopped-first',
    protects: 'nothing is handed out while the queue is being disconnected',
    patches: [ts('queue/consumer')('    this.#closing = true\n    this.#signal()\n', '')],
    noticedBy: regression('28-disconnect-dequeue'),
  },
  {
    name: 'fetched-while-disconnecting-goes-back',
    protects: 'what comes while the queue is being disconnected is given to nobody, who could not settle it',
    patches: [ts('queue/consumer')('if (!this.#closing && leaseNow()', 'if (leaseNow()')],
    noticedBy: inFake('consumer', 'hands back what a fetch under way brings'),
  },
  {
    name: 'disconnect-waits-for-fetches',
    protects: 'what a fetch brings that is under way at the end goes back before the sockets close',
    patches: [
      // Each of the two waits for most of what the other one waits for.
      ts('queue/consumer')('    await Promise.all(this.#states.map((state) => state.lane.drained()))\n', ''),
      ts('queue/consumer')(
        '    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay)\n',
        '',
      ),
    ],
    noticedBy: inFake('consumer', 'hands back what a fetch under way brings'),
  },
  {
    name: 'lost-fetch-goes-back',
    protects: 'what a fetch took whose reply was lost goes back before its lease runs out',
    patches: [
      ts('queue/consumer-lane')(
        '      if (want) this.#handingBack.addUnanswered(leaseId, want.leaseMs)\n',
        '',
      ),
    ],
    noticedBy: inFake('worker', 'by dequeue, which has returned meanwhile'),
  },
  {
    name: 'late-tasks-go-back',
    protects: 'what comes too late for the take that asked goes back if nobody takes it',
    patches: [ts('queue/unclaimed')('this.#timer ??= setTimeout(() => this.handBack(), UNCLAIMED_MS)', '')],
    noticedBy: inFake('consumer', 'gives back what a slow shard sends'),
  },
  {
    name: 'stood-still',
    protects: 'a process that stood still hands out nothing whose lease may have run out meanwhile',
    patches: [ts('queue/consumer')('leaseNow() - lease.askedAtMs < lease.lengthMs', 'true')],
    noticedBy: inFake('consumer', 'a machine was suspended'),
  },
  {
    name: 'unused-tasks-go-back-whatever-our-clock',
    protects: 'a clock that was set ahead costs no task an attempt',
    patches: [
      ts('queue/handing-back')(
        'Math.max(lease.heldUntilMs, leaseNow() + lease.lengthMs)',
        'lease.heldUntilMs',
      ),
    ],
    noticedBy: inFake('consumer', 'a machine was suspended'),
  },
  {
    name: 'suspended-time-counts',
    protects: 'time for which the machine was suspended counts for leases',
    patches: [ts('queue/lease-clock')('if (jumpedMs > JUMP_MS) this.#addedMs += jumpedMs', '')],
    noticedBy: inUnit('lease-clock'),
  },
  {
    name: 'recovery-grace',
    protects: 'leases stand still without a master: they are spared for a while when there is one again',
    patches: [ts('queue/recovery-grace')('const GRACE_MS = 2_000', 'const GRACE_MS = 0')],
    noticedBy: inUnit('recovery-grace'),
  },
  {
    name: 'recovery-grace-is-asked',
    protects: 'a consumer that recovers leases asks how long its master was away',
    patches: [
      ts('queue/maintenance')(
        '    for (const leaseId of over.slice(',
        '    for (const leaseId of expiredLeases.slice(',
      ),
    ],
    noticedBy: inUnit('recovery-grace', 'by a consumer'),
  },
  {
    name: 'recovery-grace-while-refused',
    protects: 'leases stand still while a master refuses everybody, as one does that was just restarted',
    patches: [ts('queue/maintenance')('if (refusesAll(fault))', 'if (false && refusesAll(fault))')],
    noticedBy: inUnit('recovery-grace', 'by a consumer'),
  },
  {
    name: 'recovery-grace-ends',
    protects: 'a lease that ran out ends, also where sockets break again and again',
    patches: [
      ts('queue/recovery-grace')(
        'Math.min(quietAtMs, runOut.sinceMs + GRACE_MS, runOut.firstMs + LONGEST_MS)',
        'quietAtMs',
      ),
    ],
    noticedBy: inUnit('recovery-grace'),
  },
  {
    name: 'recovery-by-a-clock-set-ahead',
    protects: 'a lease that ran out since the clock of its master was set ahead is spared for as long',
    patches: [
      ts('queue/recovery-grace')('    if (jumpMs > JUMP_MS) this', '    if (jumpMs < -JUMP_MS) this'),
    ],
    noticedBy: inUnit('recovery-grace'),
  },
  {
    name: 'recovery-by-a-clock-is-asked',
    protects: 'a consumer that recovers leases looks at the clock of their master',
    patches: [
      ts('queue/maintenance')('    this.#grace.told(outcome.node, serverMs, askedAtMs, nowMs)\n', ''),
    ],
    noticedBy: inUnit('recovery-grace'),
  },
  {
    name: 'recovery-by-a-clock-ends',
    protects: 'a lease that ran out ends, however far the clock of its master is set ahead',
    patches: [
      ts('queue/recovery-grace')(
        'Math.min(this.#tooEarlyUntilMs, runOut.firstMs + LONGEST_JUMP_MS)',
        'this.#tooEarlyUntilMs',
      ),
    ],
    noticedBy: inUnit('recovery-grace'),
  },
  // ---- after a restart
  {
    name: 'admission',
    protects: 'a server that was restarted hands out nothing before those who hold its tasks could tell it',
    patches: [lua('admit')('if known and wait > 0 then', 'if false then')],
    noticedBy: { files: ['test/single/consumer-scripts.test.ts'], only: 'that was restarted a moment ago' },
  },
  {
    name: 'admission-by-what-was-seen',
    protects: 'a server whose clock was set back is waited for once, for 3 s, by the clock of who waits',
    patches: [
      ts('queue/admission')(
        'heard: heard && { life: heard.life, sinceMs: nowMs - heard.atMs },',
        'heard: heard && { life: heard.life, sinceMs: 0 },',
      ),
    ],
    noticedBy: inFake('restarted', 'says nothing of use'),
  },
  {
    name: 'admission-by-what-was-seen-there',
    protects: 'a server whose clock was set back believes who has waited',
    patches: [lua('admit')('if ARGV[3] == life then', 'if false then')],
    noticedBy: { files: ['test/single/consumer-scripts.test.ts'], only: 'whose clock was set back' },
  },
  {
    name: 'admission-is-asked',
    protects: 'after a break nobody takes tasks before the server has let them in',
    patches: [
      ts('queue/consumer-lane')(
        'if (this.#wants.length > 0 && !this.#admission.isOpenAt(this.#owner)) {',
        'if (this.#wants.length < 0) {',
      ),
      ts('queue/consumer-lane')('const lifeIsSame = this.#admission.covers(node)', 'const lifeIsSame = true'),
    ],
    noticedBy: inFake('restarted', 'nobody takes a task before'),
  },
  {
    name: 'reassertion',
    protects: 'after a break the master is told of tasks with a key that are held',
    patches: [ts('queue/consumer-lane')('    this.#reassertion.follow(owner)\n', '')],
    noticedBy: inFake('restarted', 'is asserted before'),
  },
  {
    name: 'reassertion-comes-first',
    protects: 'what is held is asserted before anything else is told to the master',
    patches: [
      ts('queue/consumer-lane')('    if (this.#reassertion.pending) {\n', '    if (this.#stopped) {\n'),
    ],
    noticedBy: inFake('restarted', 'is asserted before'),
  },
  {
    name: 'reassertion-leaves-what-goes-back',
    protects: 'a task that is handed back is not taken into a lease of nobody',
    patches: [ts('queue/delivery')('          lane.left(lease.id, this.id, call)\n', '')],
    noticedBy: inFake('reasserted', 'when it was handed back'),
  },
  {
    name: 'reassertion-leaves-what-came-too-late',
    protects: 'a task that came too late and went back is not taken into a lease of nobody',
    patches: [
      ts('queue/consumer-lane')(
        '    if (!this.#reassertion.isEmpty) for (const { id } of tasks) this.#reassertion.left(lease.id, id)\n',
        '',
      ),
    ],
    noticedBy: inFake('reasserted', 'when it came too late'),
  },
  {
    name: 'reassertion-before-calls-of-deliveries',
    protects: 'what is held is asserted before a delivery is extended or handed back',
    patches: [
      ts('queue/consumer-lane')(
        'if (pending) await endsWithin(pending, ASSERTED_MS)',
        'if (!pending) await endsWithin(Promise.resolve(), ASSERTED_MS)',
      ),
    ],
    noticedBy: inFake('reasserted', 'a task is asserted before its'),
  },
  {
    name: 'departures-until-told',
    protects: 'a failure or a hand-back is told again after a break until the master takes it',
    patches: [
      ts('queue/reassertion')(
        '    this.onFailure(outcome.fault)\n    return isLasting(outcome.fault)\n',
        '    this.onFailure(outcome.fault)\n    return true\n',
      ),
    ],
    noticedBy: inFake('reasserted', 'until it takes it'),
  },
  {
    name: 'departures-of-what-nobody-took',
    protects: 'what was fetched and handed back unused is handed back again after a break',
    patches: [ts('queue/handing-back')('      this.#tellLeaving(unused, call)\n', '')],
    noticedBy: inFake('reasserted', 'when it came too late'),
  },
  {
    name: 'repeats-outlast-the-break',
    protects: 'what was completed is told again after a break, however long the master refuses',
    patches: [ts('queue/acknowledgement')('const REPEAT_MS = 10 * 60_000', 'const REPEAT_MS = 3_000')],
    noticedBy: inFake('reasserted', 'hears again of what was completed'),
  },
  {
    name: 'asserted-for-what-is-left',
    protects: 'breaks do not keep a lease that nobody renews',
    patches: [ts('queue/reassertion')('leaseMs: leftMsOf(one, askedAtMs)', 'leaseMs: lease.lengthMs')],
    noticedBy: inFake('reasserted', 'a break does not make a lease longer'),
  },
  {
    name: 'unasserted-holds-up-nobody',
    protects: 'a dequeue ends in its time while the master cannot be told what is held',
    patches: [
      ts('queue/consumer-lane')('      !this.#reassertion.pending &&\n', ''),
      ts('queue/consumer')(
        'deadlineMs + (late ? this.connection.commandTimeoutMs : 0) - performance.now()',
        'Math.max(deadlineMs - performance.now(), late ? this.connection.commandTimeoutMs : 0)',
      ),
    ],
    noticedBy: inFake('reasserted', 'does not hold up a dequeue'),
  },
  {
    name: 'reassertion-takes-only-its-own',
    protects: 'a task to which something has happened since is not taken by who held it before',
    patches: [lua('reassert')('    elseif task.used > task.attempts then\n      out[at] = 0\n', '')],
    noticedBy: {
      files: ['test/single/consumer-scripts.test.ts'],
      only: 'takes a task from its list only if nothing has happened',
    },
  },
  // ---- what callers give
  {
    name: 'whatever-is-thrown',
    protects: 'whatever a handler throws fails its attempt, and no more',
    patches: [
      ts('queue/describe-error')(
        '  if (isSound(thrown)) return thrown\n',
        '  if (thrown !== undefined) return thrown as Error\n',
      ),
    ],
    noticedBy: regression('error-not-text', '07-poison-throw'),
  },
  {
    name: 'errors-that-cannot-be-read',
    protects: 'a thrown value whose properties throw is described all the same',
    patches: [
      ts('queue/describe-error')(
        '  try {\n    return (thrown as Record<string, unknown>)[property]\n  } catch {\n    return UNREADABLE\n  }\n',
        '  return (thrown as Record<string, unknown>)[property]\n',
      ),
    ],
    noticedBy: regression('07-poison-throw', '23-bad-errors'),
  },
  {
    name: 'errors-bounded',
    protects: 'one error does not fill a shard',
    patches: [ts('queue/describe-error')('name.slice(0, MOST_NAME)', 'name')],
    noticedBy: regression('error-name-unbounded'),
  },
  {
    name: 'bad-results-die-at-once',
    protects: 'a task whose result cannot be stored is not run again',
    patches: [
      ts('worker/worker')(
        'const retry = !(error instanceof InvalidDataError || error instanceof PayloadTooLargeError)',
        'const retry = !(error instanceof InvalidDataError && error instanceof PayloadTooLargeError)',
      ),
    ],
    noticedBy: regression('result-not-storable'),
  },
  {
    name: 'lost-numbers-refused',
    protects: 'NaN is refused, and not stored as null',
    patches: [
      ts('queue/json-loss')(
        'return Number.isFinite(value) ? undefined : lossOfNumber(value)',
        'return Number.isFinite(value) || lossOfNumber(value) ? undefined : undefined',
      ),
    ],
    noticedBy: regression('36-lost-numbers'),
  },
  {
    name: 'surrogates-refused',
    protects: 'two keys that differ do not become the same in UTF-8',
    patches: [
      ts('queue/validate')('if (!isWellFormed(value)) {', 'if (!isWellFormed(value) && value === null) {'),
    ],
    noticedBy: regression('14-dedup-holes'),
  },
  {
    name: 'listeners-that-throw',
    protects: 'a listener that throws harms neither the others nor the queue',
    patches: [
      ts('queue/emit-safely')(
        '    } catch (thrown) {\n      onFault(emitter, listener, except, thrown)\n',
        '    } catch (thrown) {\n      throw thrown\n',
      ),
    ],
    noticedBy: regression('20-listener'),
  },
  {
    name: 'listeners-that-reject',
    protects: 'a listener that rejects does not end the process',
    patches: [
      ts('queue/emit-safely')(
        '      follow(returned, ignore, ',
        '      if (except) follow(returned, ignore, ',
      ),
    ],
    noticedBy: regression('20-listener'),
  },
  // ---- who has to confirm
  {
    name: 'in-sync-when-asked',
    protects: 'a replica that counted when the write was sent has to confirm it',
    patches: [ts('connection/confirmation')('Math.max(asked, this.required(node))', 'this.required(node)')],
    noticedBy: inUnit('confirmation', 'the larger of the numbers when'),
  },
  {
    name: 'in-sync-when-answered',
    protects: 'a replica that was heard of while the write was under way has to confirm it',
    patches: [ts('connection/confirmation')('Math.max(asked, this.required(node))', 'asked')],
    noticedBy: inUnit('confirmation', 'the larger of the numbers'),
  },
  {
    name: 'silent-replica-counts',
    protects: 'a replica that is suspected, and not given up, has to confirm',
    patches: [
      ts('connection/cluster-view')(
        "['fail', 'handshake', 'noaddr']",
        "['fail', 'fail?', 'handshake', 'noaddr']",
      ),
    ],
    noticedBy: inUnit('replies', 'CLUSTER NODES'),
  },
  {
    name: 'silence-is-no-reason',
    protects: 'a replica that says nothing, and is not attached, is waited for',
    patches: [
      ts('connection/replica-states')(
        "(await this.#info(replica, 'persistence', 'replication')) ?? ''",
        "(await this.#info(replica, 'persistence', 'replication')) ?? 'loading:1'",
      ),
    ],
    noticedBy: inFake('replication', 'counts, also where it is not attached'),
  },
  {
    name: 'syncing-replica-not-counted',
    protects: 'a shard flows on while a replica is receiving its first copy',
    patches: [
      ts('connection/confirmation')(
        'const inSync = counted.length - syncing.length',
        'const inSync = counted.length',
      ),
    ],
    noticedBy: inUnit('confirmation', 'minReplicas'),
  },
  {
    name: 'syncing-by-its-masters-word',
    protects: 'which replica is receiving its first copy, its master says',
    patches: [
      ts('connection/replica-states')(
        'if (seen && (!seen.online || seen.offset > 0)) return !seen.online',
        'if (seen) return false',
      ),
    ],
    noticedBy: inFake('replication', 'one that is still receiving its first copy'),
  },
  {
    name: 'strangers-confirm-nothing',
    protects: 'a tool that is attached as a replica does not confirm in the place of one',
    patches: [
      ts('connection/confirmation')(
        'if (replicas.acknowledged(node, inSync, offset) < required) return false',
        'if (confirmed < required) return false',
      ),
    ],
    noticedBy: inUnit('confirmation', 'is whoever has acknowledged'),
  },
  {
    name: 'report-that-is-too-old',
    protects: 'a number of confirmations is not believed when it is long ago that nobody else was attached',
    patches: [
      ts('connection/confirmation')(
        'nowMs - this.replicas.exclusiveAtMs(node) <= CERTAIN_MS',
        'nowMs - this.replicas.exclusiveAtMs(node) >= 0',
      ),
    ],
    noticedBy: inUnit('confirmation', 'is certain for a second'),
  },
  {
    name: 'others-are-noticed',
    protects: 'a tool that is attached as a replica makes the number of confirmations uncertain',
    patches: [
      ts('connection/replica-states')(
        'if (report.attached.some(isOther))',
        'if (report.attached.every(isOther) && report.attached.length > 1)',
      ),
    ],
    noticedBy: inFake('replication', 'is a tool that was attached'),
  },
  {
    name: 'proof-after-a-shortfall',
    protects: 'a shard that did not confirm is opened again by its own replica, and by nobody else',
    patches: [ts('queue/gate')('confirmation.ask(node, 0, true)', 'confirmation.ask(node)')],
    noticedBy: inFake('replication', 'is taken for whole when'),
  },
  {
    name: 'time-by-bytes',
    protects: 'a large batch is given the time that it takes to travel',
    patches: [
      ts('connection/confirmation')(
        'Math.min(timeoutMs + moreMs, longestMs)',
        'Math.min(timeoutMs, longestMs + moreMs)',
      ),
    ],
    noticedBy: inUnit('confirmation', 'bytes'),
  },
  {
    name: 'pause-confirmed',
    protects: 'a pause is done when a replica knows of it',
    patches: [
      ts('queue/pausing')(
        '          if (!confirmed) unconfirmed.push(partition.index)\n',
        '          if (!confirmed) unconfirmed.pop()\n',
      ),
    ],
    noticedBy: inFake('replication', 'a pause that no replica confirms'),
  },
  {
    name: 'large-tasks-stay',
    protects: 'a large task whose replica is late is not sent a second time',
    patches: [ts('queue/producer')("    if (item.large && here === 'is') return false\n", '')],
    noticedBy: inFake('large', 'without a key .* stays with its shard'),
  },
  {
    name: 'large-tasks-asked-for-first',
    protects: 'a large task that is there is asked for, and not sent again',
    patches: [
      ts('queue/producer-lane')('    if (batch.askFirst) {', '    if (batch.askFirst && batch.number < 0) {'),
    ],
    noticedBy: inFake('large', 'stays with its shard'),
  },
  // ---- the number of partitions
  {
    name: 'conflict-stops',
    protects: 'a client that finds another number of partitions stops',
    patches: [
      ts('queue/partition-count')(
        '      else throw new PartitionMismatchError(this.queue, this.#count, count)\n',
        '      else this.#holders.set(copy, holder)\n',
      ),
    ],
    noticedBy: inFake('opening', 'stops when it finds another number'),
  },
  {
    name: 'copies-agree',
    protects: 'a queue whose copies have two numbers is not opened',
    patches: [
      ts('queue/partition-count')(
        'if (new Set(found.map(({ partitions }) => partitions)).size > 1)',
        'if (found.length < 0)',
      ),
    ],
    noticedBy: inFake('opening', 'with two different numbers'),
  },
  {
    name: 'copies-rewritten',
    protects: 'a copy of the number of partitions that went missing is written again',
    patches: [
      ts('queue/partition-count')(
        'if (count === null) await this.#write(copy)',
        'if (count === null) this.#holders.set(copy, holder)',
      ),
    ],
    noticedBy: inFake('opening', 'writes its number again'),
  },
  {
    name: 'not-taken-for-new',
    protects: 'a queue of which too little can be read is not taken for a new one',
    patches: [
      ts('queue/partition-count')(
        'const certain = known !== undefined || answers.has(this.#copies[0] as Copy)',
        'const certain = known !== null',
      ),
    ],
    noticedBy: inFake('opening', 'is not said to be missing'),
  },
  {
    name: 'number-safe-before-it-is-used',
    protects: 'nothing is built on a number of partitions that could be lost',
    patches: [ts('queue/partition-count')('    if (!confirmed) throw this.#notConfirmed([first])\n', '')],
    noticedBy: inFake('opening', 'whose first copy is not confirmed'),
  },
  // ---- who gets what, and how much
  {
    name: 'balance',
    protects: 'no master runs far ahead of one that takes tasks',
    patches: [ts('queue/balance')('      if (!takesNone(other)) return false\n', '')],
    noticedBy: inUnit('balance'),
  },
  {
    name: 'balance-ignores-who-takes-none',
    protects: 'a master that takes nothing does not hold up the others',
    patches: [ts('queue/balance')('      if (!takesNone(other)) return false\n', '      return false\n')],
    noticedBy: inUnit('balance'),
  },
  {
    name: 'balance-counts-what-was-taken',
    protects: 'a master that refused is not thought to have more than others',
    patches: [ts('queue/balance')('if (load) load.sent = Math.max(0, load.sent - tasks)', '')],
    noticedBy: inUnit('balance'),
  },
  {
    name: 'room-by-what-is-waited-for',
    protects: 'tasks for a master that is down do not take the room of others',
    patches: [
      ts('queue/buffered-bytes')(
        'if (partition === undefined || !this.#divided) return undefined',
        'if (partition !== -1) return undefined',
      ),
    ],
    noticedBy: inUnit('buffered-bytes'),
  },
  {
    name: 'room-for-many-by-what-is-waited-for',
    protects: 'an enqueueMany waits for room of its own kind, and not for that of a master that is down',
    patches: [
      ts('queue/buffered-bytes')(
        'return partition === undefined ? this.#loose : (this.#groups[partition]?.bytes ?? 0)',
        'return partition === undefined ? this.#total : this.#total',
      ),
    ],
    noticedBy: inUnit('buffered-bytes'),
  },
  {
    name: 'refusals-are-paused-after',
    protects: 'a shard that refuses is not asked again at once',
    patches: [ts('queue/producer')('    lane.pause()\n    if (node && (fault', '    if (node && (fault')],
    noticedBy: inFake('refusals', 'is not tried in a tight loop'),
  },
  {
    name: 'completions-forgotten',
    protects: 'what was acknowledged is remembered for seconds, and not for ever',
    patches: [
      ts('queue/settling')(
        'performance.now() - REMEMBER_MS\n    let gone',
        'Number.NEGATIVE_INFINITY\n    let gone',
      ),
    ],
    noticedBy: regression('17-settling-memory'),
  },
  // ---- whose word counts
  {
    name: 'owner-disclaims',
    protects: 'an owner that says another serves its slot is believed',
    patches: [
      ts('connection/topology')(
        'if (this.#heedDisclaimer(view, asked)) {',
        'if (view.length < 0 && this.#heedDisclaimer(view, asked)) {',
      ),
    ],
    noticedBy: inFake('topology', 'the owner itself is'),
  },
  {
    name: 'strangers-not-believed',
    protects: 'a node of another cluster at an address of ours is not believed',
    patches: [
      ts('connection/membership')(
        'if (this.#listedMs.size > 0 && !this.#knows(view, self)) return false',
        'if (this.#listedMs.size < 0 && !this.#knows(view, self)) return false',
      ),
    ],
    noticedBy: inFake('topology', 'a node of another cluster'),
  },
  {
    name: 'looks-not-put-off',
    protects: 'a look at the topology is not put off by whoever asks for one',
    patches: [
      ts('connection/topology')(
        'if (this.#stopped || atMs >= this.#lookAtMs) return',
        'if (this.#stopped) return',
      ),
    ],
    noticedBy: inFake('topology', 'is not put off'),
  },
  // ---- sockets
  {
    name: 'slow-reply-is-waited-for',
    protects: 'a slow reply is not a dead node',
    patches: [ts('connection/socket')('        movedAtMs = Math.max(movedAtMs, this.#heardAtMs)\n', '')],
    noticedBy: inFake('slow-replies', 'as long as it goes on arriving'),
  },
  {
    name: 'slow-request-is-waited-for',
    protects: 'a request that is still leaving is not given up',
    patches: [ts('connection/socket')('        if (hasMoved(unsent, now)) movedAtMs = nowMs\n', '')],
    noticedBy: inFake('slow-replies', 'as long as it goes on leaving'),
  },
  {
    name: 'silent-on-all-sockets',
    protects: 'a node is down only if it is silent on all its sockets',
    patches: [
      ts('connection/node')(
        'if (silentMs >= timeoutMs * SILENT_PART) this.#fall(fault)',
        'if (silentMs >= 0) this.#fall(fault)',
      ),
    ],
    noticedBy: inFake('slow-replies', 'stays up while another receives'),
  },
  {
    name: 'broken-socket-is-no-proof',
    protects: 'a connection that breaks does not take the others with it',
    patches: [
      ts('connection/node')(
        '        this.#generation++\n        this.#verify(fault, timeoutMs)\n',
        '        this.#fall(fault)\n',
      ),
    ],
    noticedBy: inFake('slow-replies', 'does not take the others with it'),
  },
  {
    name: 'given-up-sockets-close',
    protects: 'a late reply is never taken for the reply to another call',
    patches: [ts('connection/socket')('        if (this.#redis === redis) this.#giveUp(error)\n', '')],
    noticedBy: inFake('slow-replies', 'given up is a time-out'),
  },
  {
    name: 'socket-errors-heard',
    protects: 'a second error of a socket does not end the process',
    patches: [
      ts('connection/dial')(
        "socket.on('error', (error: Error) => {",
        "socket.once('error', (error: Error) => {",
      ),
    ],
    noticedBy: inFake('sockets', 'a second error'),
  },
  {
    name: 'auth-first',
    protects: 'nothing is sent before AUTH, nor anything of the caller before it is answered',
    patches: [
      ts('connection/socket')(
        "      ...(known ? [authCommand(username, password)] : []),\n      ['CLIENT', 'SETNAME', 'shardq'],\n",
        "      ['CLIENT', 'SETNAME', 'shardq'],\n      ...(known ? [authCommand(username, password)] : []),\n",
      ),
    ],
    noticedBy: inFake('sockets', 'AUTH'),
  },
  {
    name: 'auth-answered-first',
    protects: 'nothing of the caller is sent before AUTH is answered',
    patches: [
      ts('connection/socket')(
        '    const replies = await writeTogether(redis, [\n      ...(known',
        '    const replies = known ? [] : await writeTogether(redis, [\n      ...(known',
      ),
      ts('connection/socket')(
        '    if (broken) throw broken\n    const [first] = replies\n',
        '    if (known) void writeTogether(redis, [authCommand(username, password)])\n    if (broken) throw broken\n    const [first] = replies\n',
      ),
    ],
    noticedBy: inFake('sockets', 'AUTH'),
  },
  // ---- memory, shards that take nothing, and what callers are told
  {
    name: 'enqueue-is-refused-while-memory-is-full',
    protects: 'nothing new is stored in memory that is kept for what is there',
    patches: [enqueue('-- Uses ', '-- Flags allow-oom\n-- Uses ')],
    noticedBy: { files: ['test/single/memory-full.test.ts'] },
  },
  {
    name: 'results-bounded-while-memory-is-full',
    protects: 'while memory is full only small results are kept',
    patches: [exchange('memoryIsFull(KEYS[#KEYS]) and 1024 or math.huge', 'math.huge')],
    noticedBy: { files: ['test/single/memory-full.test.ts'], only: 'no larger than 1 KiB' },
  },
  {
    name: 'full-shard-left-alone',
    protects: 'a shard that refused is left alone for a while',
    patches: [ts('queue/gate')("    if (this.#full.has(node)) return 'full'\n", '')],
    noticedBy: inFake('shards', 'has the shard left alone for a while'),
  },
  {
    name: 'trusted-by-generation',
    protects: 'a master whose connection broke gets no task before it has confirmed something',
    patches: [ts('queue/gate')('|| this.#trusted.get(node) !== node.generation)', ')')],
    noticedBy: inFake('restarted', 'gets no task'),
  },
  {
    name: 'unconfirmed-is-told',
    protects: 'of a task that may be stored nobody is told that it is not',
    patches: [
      ts('queue/producer')(
        '    if (first !== undefined) {\n',
        '    if (first !== undefined && first < 0) {\n',
      ),
    ],
    noticedBy: inFake('verdicts', 'no reply anywhere: NotReplicatedError'),
  },
  {
    name: 'taken-back-is-told',
    protects:
      'of a task that may have been run before it was taken back nobody is told that it never was stored',
    patches: [
      ts('queue/producer')(
        "    } else if (item.formerId !== '') {",
        "    } else if (item.formerId === 'none') {",
      ),
    ],
    noticedBy: inFake('verdicts', 'may have been run meanwhile'),
  },
  {
    name: 'one-copy-is-kept',
    protects: 'of the copies of a task that nobody confirmed one is kept',
    patches: [ts('queue/producer')('this.#voidCopies(item, first)', 'this.#voidCopies(item, -1)')],
    noticedBy: inFake('verdicts', 'one of the copies is kept'),
  },
  {
    name: 'forgotten-is-not-lost',
    protects: 'a partition that has forgotten a producer does not get its old tasks again',
    patches: [
      ts('queue/producer-lane')(
        '    this.#recent.forget(this.#doubted ? REMEMBER_BATCH_MS / 2 : undefined)\n',
        '',
      ),
    ],
    noticedBy: inFake('shards', 'does not store again what was confirmed long ago'),
  },
  {
    name: 'failure-told-twice',
    protects: 'a failure whose first copy may have been that of another holder is not taken for ours',
    patches: [ts('queue/delivery')('resent && leaseNow() < lease.heldUntilMs && (value', 'resent && (value')],
    noticedBy: inFake('settling-twice', 'which counts the attempt too'),
  },
  {
    name: 'release-told-twice',
    protects: 'a task that ran out before it was handed back is lost, and its holder told so',
    patches: [
      ts('queue/delivery')('before ||= resent && leaseNow() < lease.heldUntilMs\n', 'before ||= resent\n'),
    ],
    noticedBy: inFake('settling-twice', 'a task that is handed back twice'),
  },
  {
    name: 'both-leases-renewed',
    protects: 'while a delivery is being extended both of its leases are renewed',
    patches: [
      ts('queue/extension')(
        'return this.other ? [this.lease, this.other] : [this.lease]',
        'return [this.lease]',
      ),
    ],
    noticedBy: inFake('worker', 'the lease it gets is renewed too'),
  },
  {
    name: 'heartbeat-judges-what-it-asked',
    protects: 'a task whose lease was exchanged while the heartbeat was under way is not given up',
    patches: [
      ts('worker/heartbeat')(
        'leases.every(({ id }) => lost.has(id)) && areStill(leases, run)',
        'run.delivery.leases.every(({ id }) => lost.has(id))',
      ),
    ],
    noticedBy: inFake('worker', 'a heartbeat that overtakes an extend'),
  },
  {
    name: 'worker-lease-least',
    protects: 'a handler that extends its task to less than the worker’s lease does not lose it',
    patches: [ts('queue/delivery')('this.followed ? Math.max(ms, this.#first.lengthMs) : ms', 'ms')],
    noticedBy: regressionOnly('short-extend', 'is run once'),
  },
  {
    name: 'short-lease-wake',
    protects: 'other consumers hear of a lease that was made shorter',
    patches: [lua('extend')("redis.call('SPUBLISH', ARGV[5], 's')", '')],
    noticedBy: regressionOnly('short-extend', 'by another consumer that waits'),
  },
  {
    name: 'short-lease-look',
    protects: 'who makes a lease shorter looks at it when it has run out, also if no wake comes',
    patches: [ts('queue/extension')('      this.host.consumer.leaseEnds(partition, ms)\n', '')],
    noticedBy: inFake('consumer', 'though no wake comes'),
  },
  {
    name: 'settled-while-it-is-written',
    protects: 'a result whose toJSON settles the task does not settle it a second time',
    patches: [
      ts('queue/delivery')(
        '    // A `toJSON` is code of others, and may have settled it.\n    this.#mustBeOpen()\n',
        '',
      ),
    ],
    noticedBy: regressionOnly('settle-once', 'a result whose toJSON calls'),
  },
  {
    name: 'left-is-told-once',
    protects: 'a hand-back that takes many tries does not push others out of what is remembered',
    patches: [ts('queue/reassertion')('each.leaseId !== leaseId || each.id !== id', 'each.id !== undefined')],
    noticedBy: inFake('reasserted', 'what was handed back in many tries'),
  },
  {
    name: 'stuck-master-holds-up-nobody',
    protects: 'a master that keeps a batch waiting does not hold up the others',
    patches: [ts('queue/dealer')('      if (lane.sending && lane.sentAtMs < latestMs) return true\n', '')],
    noticedBy: inUnit('dealer'),
  },
  // ---- the checkers themselves
  {
    name: 'verify-twice',
    protects: 'the structural checker shows a task in two places',
    patches: [
      ts('queue/verify/partition')(
        "if (!standings.stand(id, by)) this.#suspect(pass, id, 'twice')",
        'standings.stand(id, by)',
      ),
      ts('queue/verify/partition')("  if (places > 1) return 'twice'\n", ''),
    ],
    noticedBy: { files: ['test/single/verify.test.ts'], only: 'shows a task twice in a list' },
  },
  {
    name: 'verify-nowhere',
    protects: 'the structural checker shows a task in no place',
    patches: [
      ts('queue/verify/partition')(
        "return places === 0 || (inBundle && byBundle === 0) ? 'nowhere' : undefined",
        'return undefined',
      ),
    ],
    noticedBy: { files: ['test/single/verify.test.ts'], only: 'shows a task that was taken out of its list' },
  },
  {
    name: 'verify-counters',
    protects: 'the structural checker compares what is there with what was counted',
    patches: [
      ts('queue/verify/partition')(
        '    if (should === tasks) return\n',
        '    if (should >= 0 || should < 0) return\n',
      ),
    ],
    noticedBy: { files: ['test/single/verify.test.ts'], only: 'shows more tasks than were enqueued' },
  },
  {
    name: 'verify-bundled',
    protects: 'the structural checker compares the count of what bundles stand for',
    patches: [
      ts('queue/verify/partition')(
        '      bundled[i] === counted[i] ? []',
        '      bundled[i] !== undefined || counted[i] ? []',
      ),
    ],
    noticedBy: { files: ['test/single/verify.test.ts'], only: 'shows a wrong count of what bundles' },
  },
  {
    name: 'ledger-lost',
    protects: 'the account shows a task that was lost',
    patches: [
      ts('ledger/check')(
        '.filter((story) => !isAccountedFor(story, faults, stops))',
        '.filter((story) => !isAccountedFor(story, faults, stops) && story.rejected)',
      ),
    ],
    noticedBy: inUnit('ledger'),
  },
  {
    name: 'ledger-completed-twice',
    protects: 'the account shows a task of which two completions were accepted',
    patches: [ts('ledger/check')('return settled.length > copies', 'return settled.length < copies')],
    noticedBy: inUnit('ledger'),
  },
  {
    name: 'ledger-acknowledged-twice',
    protects: 'the account shows a task with two ids, and an id with two tasks',
    patches: [ts('ledger/check')('    if (ids.length > 1) twice.add(token)\n', '')],
    noticedBy: inUnit('ledger'),
  },
  {
    name: 'ledger-at-once',
    protects: 'the account shows a task that was run twice at once',
    patches: [
      ts('ledger/check')(
        "explain(story, run, next, faults, stops).reason === 'unexplained'",
        "explain(story, run, next, faults, stops).reason === 'worker stopped'",
      ),
    ],
    noticedBy: inUnit('ledger'),
  },
  {
    name: 'ledger-at-once-later',
    protects: 'the account shows later attempts at once of a task with a key',
    patches: [ts('ledger/check')('const runs = story.keyed\n', 'const runs = story.removed\n')],
    noticedBy: inUnit('ledger'),
  },
  {
    name: 'ledger-tried-again-in-time',
    protects: 'the account shows a task that was tried again before its handler had ended',
    patches: [ts('ledger/check')('  if (next.fromMs < overMs - CLOCK_MS) return false\n', '')],
    noticedBy: inUnit('ledger'),
  },
  {
    name: 'ledger-tried-again-at-the-next-attempt',
    protects:
      'the account shows a task that failed or was handed back and runs at an attempt that is not due',
    patches: [ts('ledger/check')('  return next.attempt === due || ', '  return next.attempt > 0 || ')],
    noticedBy: inUnit('ledger'),
  },
  {
    name: 'ledger-dead',
    protects: 'the account shows a task that was dead and runs again',
    patches: [ts('ledger/check')(" || earlier.end === 'dead')", ')')],
    noticedBy: inUnit('ledger'),
  },
  {
    name: 'ledger-open-ends',
    protects: 'what no end was heard of is no excuse for ever',
    patches: [ts('ledger/check')('  for (const story of stories) endOpen(story, stops)\n', '')],
    noticedBy: inUnit('ledger'),
  },
  {
    name: 'rejoin-past-copies',
    protects: 'slots go where no old copies of their keys are',
    patches: [ts('cluster/fix/rejoin')('known.keysOn(id, slot) === 0', 'true')],
    noticedBy: inUnit('cluster/fix-plan', 'past old copies that the promoted one has'),
  },
  {
    name: 'emptied-strays',
    protects: 'a master with keys of slots that it does not own is not emptied',
    patches: [ts('cluster/move/strays')('if (stray === undefined) return', 'return')],
    noticedBy: regressionOnly('long/emptied-master-strays', 'by its weight'),
  },
  {
    name: 'only-libraries',
    protects: 'a master with functions that no other has is not emptied',
    patches: [ts('cluster/only-libraries')('if (names.length === 0) return', 'return')],
    noticedBy: regressionOnly('long/only-libraries', 'a master is not emptied'),
  },
  {
    name: 'create-resets-own',
    protects: 'a create resets only nodes that are what it has made of them',
    patches: [
      ts('cluster/create/reset')(
        'view.every(({ id, slots }) => own.has(id)',
        'view.every(({ id, slots }) => true || own.has(id)',
      ),
    ],
    noticedBy: regressionOnly('long/i-create-stale', 'nodes are reset only'),
  },
  {
    name: 'forget-shard',
    protects: 'who owns slots is given up with all of its replicas, or not at all',
    patches: [ts('cluster/fix/forget')('  if (!replica) return\n', '  if (!up) return\n')],
    noticedBy: inUnit('cluster/fix-plan', 'not given up as long as the replica is not'),
  },
  {
    name: 'assign-silent',
    protects: 'slots go to nobody while one does not answer that may own them',
    patches: [
      ts('cluster/fix/carry-out')(
        '    if (!view)\n      throw',
        '    if (!view) continue\n    if (!view)\n      throw',
      ),
    ],
    noticedBy: regressionOnly('long/assign-cut-off', 'are given to nobody'),
  },
  {
    name: 'last-good-replica',
    protects: 'a replica without a link is no reason to remove the other one',
    patches: [ts('cluster/membership/in-sync')("info.get('master_link_status') === 'up'", 'true')],
    noticedBy: regressionOnly('long/last-good-replica', 'unless the master may be without'),
  },
  {
    name: 'owed-unsaid',
    protects: 'a note tells a node nothing that no other node says',
    patches: [
      ts('cluster/owed/due')(
        "if (said.is === 'found') settings.set(name, value)",
        'settings.set(name, value)',
      ),
    ],
    noticedBy: regressionOnly('owed-forged', 'makes no user, and sets nothing'),
  },
  {
    name: 'owed-witness',
    protects: 'a node that was not seen has not said that it has nothing',
    patches: [ts('cluster/owed/others')('if (this.#silent.size === 0)', 'if (this.#silent.size >= 0)')],
    noticedBy: regressionOnly('long/owed-witness', 'does not let us look'),
  },
  {
    name: 'owed-unconfirmed',
    protects: 'a note of what a node is owed is at a replica before the node is changed',
    patches: [ts('cluster/owed/notes')('if (why === null) return', 'return')],
    noticedBy: regressionOnly('long/owed-confirmed', 'has confirmed nothing'),
  },
  {
    name: 'release-in-time',
    protects: 'no more slots are let go of than can be claimed in time',
    patches: [
      ts('cluster/move/hand-over')('performance.now() - startedMs + ms < RELEASE_MS', 'ms < Infinity'),
    ],
    noticedBy: regressionOnly('long/claims-believed', 'takes its time for each slot'),
  },
  {
    name: 'late-command',
    protects: 'what an operation has given up is not carried out later',
    patches: [ts('cluster/operation/fence')('if (isLate(name)) await', "if (name === '') await")],
    noticedBy: regressionOnly('long/late-command', 'after another operation has begun'),
  },
  {
    name: 'big-key-written-over',
    protects: 'a big key of a restore gets its name only where nobody else has it',
    patches: [
      ts('cluster/backup/construction')("if redis.call('EXISTS', KEYS[2]) == 1 then", 'if false then'),
    ],
    noticedBy: inChaos('backup', 'a client that writes it meanwhile loses nothing'),
  },
  {
    name: 'own-rights',
    protects: 'nobody takes the rights from themselves with which they make users',
    patches: [ts('cluster/users/lock-out')('if (lacking.length > 0) throw', 'if (lacking.length < 0) throw')],
    noticedBy: inChaos('users-lockout', 'nobody takes from themselves'),
  },
  {
    name: 'refused-right-goes-on',
    protects: 'a node that refuses a right ends the step for those after it',
    patches: [
      ts('cluster/users/giving')('if (error instanceof NotPermittedError) refusing = node.name\n', '\n'),
    ],
    noticedBy: inChaos('users-lockout', 'the nodes after it stay as they are'),
  },
  {
    name: 'owed-one-by-one',
    protects: 'a note that cannot be paid holds back no other',
    patches: [
      ts('cluster/owed/settle')(
        '        unlessNotServed(error)\n        onUnpaid(',
        '        throw error\n        onUnpaid(',
      ),
    ],
    noticedBy: regressionOnly('long/owed-poison', 'holds back no other, and stays'),
  },
  {
    name: 'owed-unlocked',
    protects: 'without the lock nothing is given back',
    patches: [
      ts('cluster/operation/index')('isLocked && options.settles !== false', 'options.settles !== false'),
    ],
    noticedBy: regressionOnly('long/owed-poison', 'without the lock nothing'),
  },
  {
    name: 'lent-field',
    protects: 'each setting that is lent has a note of its own',
    patches: [
      ts('cluster/owed/notes')(", ...(owed.kind === 'lent' ? Object.keys(owed.settings).sort() : [])", ''),
    ],
    noticedBy: regressionOnly('long/owed-poison', 'are two notes'),
  },
  {
    name: 'forget-alive',
    protects: 'a node from which others hear is not forgotten',
    patches: [ts('cluster/fix/forget')('  if (!witness) return\n', '  return\n')],
    noticedBy: inUnit('cluster/fix-plan', 'a single node still hears from'),
  },
  {
    name: 'owed-edited',
    protects: 'a note tells a node nothing once its files are others',
    patches: [ts('cluster/owed/due')('owed.files === now.files?.mark', 'true')],
    noticedBy: regressionOnly('long/rolling-files', 'a note of what was told'),
  },
  {
    name: 'rolling-untold',
    protects: 'a rolling restart gives back nothing that a process was not told',
    patches: [ts('cluster/owed/told')("if (!mayBeTold) return 'file'", "if (!mayBeTold) return 'told'")],
    noticedBy: inUnit('cluster/rolling', 'what its files do not say otherwise'),
  },
  {
    name: 'rolling-twice',
    protects: 'a rolling restart restarts no node twice',
    patches: [ts('cluster/rolling/once')('this.#ids.add(id)', '')],
    noticedBy: regressionOnly('long/joins-during-rolling', 'restarts no node twice'),
  },
  {
    name: 'users-over-edits',
    protects: 'users apply writes over no edits of files',
    patches: [ts('cluster/users/files')("  refuse('users apply', found)\n", '')],
    noticedBy: regressionOnly('long/users-apply-files', 'refuses'),
  },
  {
    name: 'valkey-claims-again',
    protects:
      'on Valkey, no slot is given to the one promoted in place of a master that may come back and claim it',
    patches: [ts('cluster/fix/plan')('if (down.length > 0) {', 'if (down.length > 1_000) {')],
    noticedBy: inUnit('cluster/fix-plan', 'since that one would claim it'),
  },
  {
    name: 'evicting-target',
    protects: 'no key is moved to a node that would throw keys away for it',
    patches: [ts('cluster/move/room')("if (policy === 'noeviction' || limit === 0) {", 'if (limit >= 0) {')],
    noticedBy: regressionOnly('long/evicting-target', 'with allkeys-lru'),
  },
  {
    name: 'foreign-note',
    protects: 'a key of somebody with the name of a note is not removed',
    patches: [
      ts('cluster/move/copies')(
        '  for (const note of notes) await expectNote({ link, asking: true }, note, party)\n',
        '',
      ),
    ],
    noticedBy: regressionOnly('long/foreign-note', 'keeps its slot where it is'),
  },
  {
    name: 'made-and-unlinked',
    protects: 'a tool that ends while keys are removed once more leaves none of them',
    patches: [ts('cluster/move/leave')("return redis.call('UNLINK', KEYS[1])", 'return 1')],
    noticedBy: regressionOnly('long/removal-repeated-cut-off', 'leaves none of them'),
  },
]
