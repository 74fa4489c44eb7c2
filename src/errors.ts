/**
 * One class per decision that a caller makes. Every message names the thing that is wrong and the way out;
 * the fields carry the same facts for programs, and `cause` the original error where there is one.
 */
export abstract class ShardqError extends Error {
  readonly #lines: readonly string[]

  /** @param text several where it has lines of its own; a line end within one is part of a name */
  constructor(text: string | readonly string[] = '', options?: ErrorOptions) {
    const lines = typeof text === 'string' ? [text] : text
    super(lines.join('\n'), options)
    this.#lines = lines
  }

  /** The lines of the message, so that whoever shows it can tell those from line ends in a name. */
  get lines(): readonly string[] {
    return this.#lines
  }

  /** Stable, machine-readable name of the decision; equal to the class name. */
  override get name(): string {
    return this.constructor.name
  }
}

/** An option or argument is of the wrong type, out of range, or unknown. Decision: fix the call. */
export class InvalidOptionError extends ShardqError {
  constructor(
    readonly option: string,
    problem: string,
    options?: ErrorOptions,
  ) {
    super(`${option}: ${problem}`, options)
  }
}

/** A configuration file or environment variable is wrong. Decision: fix the file; every fault is listed. */
export class ConfigError extends ShardqError {
  constructor(
    readonly source: string,
    /** `path` as written in the file (`redis.nodes[1].port`) or the variable's name. */
    readonly faults: readonly { readonly path: string; readonly message: string }[],
    options?: ErrorOptions,
  ) {
    super(`${source}: ${faults.map((fault) => `${fault.path}: ${fault.message}`).join('; ')}`, options)
  }
}

/**
 * Task data, a result, a checkpoint or metadata cannot be written as JSON, or not without losing a part of it. Decision: change
 * the data.
 */
export class InvalidDataError extends ShardqError {
  constructor(
    readonly what: string,
    problem: string,
    options?: ErrorOptions,
  ) {
    super(`${what} cannot be stored: ${problem}`, options)
  }
}

/** Data is over the limit. Decision: store it elsewhere and enqueue a reference, or raise the limit. */
export class PayloadTooLargeError extends ShardqError {
  constructor(
    readonly what: string,
    readonly bytes: number,
    readonly limit: number,
  ) {
    super(
      `${what} is ${bytes} bytes, over the limit of ${limit}; keep large data elsewhere and enqueue a ` +
        'reference to it, or raise maxPayloadBytes',
    )
  }
}

/** Nothing was stored, because no shard could take it in time. Decision: try again later. */
export class QueueUnavailableError extends ShardqError {
  constructor(
    readonly queue: string,
    problem: string,
    options?: ErrorOptions,
  ) {
    super(`queue ${queue} is unavailable: ${problem}`, options)
  }
}

/**
 * A master has, may have or had the task, but the chosen durability was not confirmed in time. A worker may run it, or have run it.
 * Decision: accept the risk, or enqueue again with the same idempotencyKey.
 */
export class NotReplicatedError extends ShardqError {
  constructor(
    readonly queue: string,
    readonly taskId: string,
    problem: string,
    options?: ErrorOptions,
  ) {
    super(
      `task ${taskId} of queue ${queue} is unconfirmed, and may be stored or have run: ${problem}`,
      options,
    )
  }
}

/**
 * An operation on the queue was carried out by masters whose replicas have not confirmed it in time: a failover may undo it.
 * Decision: repeat it, it is safe to do so.
 */
export class OperationNotConfirmedError extends ShardqError {
  constructor(
    readonly queue: string,
    /** `pause`, `resume`, `open`. */
    readonly operation: string,
    /** Indexes of the partitions where it is not confirmed; none where it is about the queue as a whole. */
    readonly partitions: readonly number[],
    problem: string,
    options?: ErrorOptions,
  ) {
    super(`${operation} of queue ${queue} is carried out but unconfirmed: ${problem}; repeat it`, options)
  }
}

/** Every shard refused for lack of memory, or the client's own buffer is full. Decision: slow down. */
export class QueueFullError extends ShardqError {
  constructor(
    readonly queue: string,
    problem: string,
    options?: ErrorOptions,
  ) {
    super(`queue ${queue} is full: ${problem}`, options)
  }
}

/** Some tasks of an `enqueueMany` failed. `ids[i]` is the id of item i, or null where `failures` has it. */
export class EnqueueManyError extends ShardqError {
  constructor(
    readonly ids: readonly (string | null)[],
    readonly failures: readonly { readonly index: number; readonly error: Error }[],
  ) {
    super(
      `${failures.length} of ${ids.length} tasks were not enqueued; ` +
        `first: item ${failures[0]?.index}: ${failures[0]?.error.message}`,
      { cause: failures[0]?.error },
    )
  }
}

/** The delivery is no longer ours: its lease ran out and the task was given out again. Decision: drop the work. */
export class LeaseLostError extends ShardqError {
  constructor(
    readonly taskId: string,
    options?: ErrorOptions,
  ) {
    super(
      `the lease on task ${taskId} is lost; another worker may have it, so this result was refused`,
      options,
    )
  }
}

/** How a delivery was settled; `retried` and `dead` by `fail()`. */
export type SettledAs = 'completed' | 'retried' | 'dead' | 'released'

/**
 * The delivery has been settled by another call, or is being settled, so that this one was not sent. Decision: settle each
 * delivery once, and use it no more afterwards.
 */
export class DeliverySettledError extends ShardqError {
  constructor(
    readonly taskId: string,
    readonly settledAs: SettledAs,
  ) {
    super(
      `the delivery of task ${taskId} was settled before, as ${settledAs}; settle a delivery once, and do no more with it then`,
    )
  }
}

/** A queue is not deleted while it has tasks, or while others write to it. Decision: drain it or stop them, or use force. */
export class QueueNotEmptyError extends ShardqError {
  constructor(
    readonly queue: string,
    problem: string,
  ) {
    super(`queue ${queue} is not deleted: ${problem}`)
  }
}

/** No task with this id in the queue: completed, purged, or never there. */
export class TaskNotFoundError extends ShardqError {
  constructor(
    readonly queue: string,
    readonly taskId: string,
  ) {
    super(`queue ${queue} has no task ${taskId}`)
  }
}

/** The server refused our credentials, or wants some. Decision: fix username and password. */
export class AuthenticationError extends ShardqError {
  constructor(
    readonly node: string,
    options?: ErrorOptions,
    problem = 'refused the credentials; check username and password (SHARDQ_REDIS_PASSWORD)',
  ) {
    super(`${node} ${problem}`, options)
  }
}

/**
 * The server took our credentials, and the user lacks a right (NOPERM). Decision: give it the right, on every node; or do
 * without what was asked. An AuthenticationError, too, since both are for whoever sets up users.
 */
export class NotPermittedError extends AuthenticationError {
  constructor(
    node: string,
    /** What the user may not do, as far as the server tells: `run 'config|get'`, `access the key`. */
    readonly missing: string,
    options?: ErrorOptions,
  ) {
    super(
      node,
      options,
      `does not permit its user to ${missing}; what each role needs: shardq cluster users print, and to give it: ` +
        'shardq cluster users apply',
    )
  }
}

/**
 * How TLS with a server fails:
 * - `not-tls`: we speak TLS, and it does not
 * - `tls-only`: it speaks TLS, and we do not
 * - `unknown-authority`: its certificate was signed by nobody that we trust
 * - `expired`: its certificate is not valid at this time
 * - `wrong-host`: its certificate is for other names and addresses
 * - `client-certificate`: it wants a certificate of us, or refuses the one that it got
 * - `handshake`: anything else, such as versions that do not match
 */
export type TlsFault = keyof typeof TLS_FAULTS

const TLS_FAULTS = {
  'not-tls':
    'does not speak TLS; leave out redis.tls (SHARDQ_REDIS_TLS=false, and redis:// in place of rediss://)',
  'tls-only': 'speaks TLS alone; set redis.tls (SHARDQ_REDIS_TLS_CA_FILE=/path/to/ca.crt)',
  'unknown-authority':
    'has a certificate of an authority that is not trusted here; name that one’s certificate in redis.tls.caFile ' +
    '(SHARDQ_REDIS_TLS_CA_FILE)',
  expired:
    'has a certificate that is not valid now; put a new one in its place and restart the server (for development: ' +
    'shardq cluster certificates), or set the clock',
  'wrong-host':
    'has a certificate for other names and addresses; connect by one of those, name one in redis.tls.servername, ' +
    'or make one for this (for development: shardq cluster certificates --host NAME)',
  'client-certificate':
    'wants a client certificate, or refuses ours; set redis.tls.certFile and keyFile ' +
    '(SHARDQ_REDIS_TLS_CERT_FILE, SHARDQ_REDIS_TLS_KEY_FILE)',
  handshake: 'and we do not agree on TLS; see redis.tls, and the server’s tls-protocols and tls-ciphers',
}

/** No TLS connection comes about, and trying again will not help. Decision: by `reason`; mostly fix redis.tls. */
export class TlsError extends ShardqError {
  constructor(
    readonly node: string,
    readonly reason: TlsFault,
    options?: ErrorOptions & { cause?: Error },
  ) {
    super(`${node} ${TLS_FAULTS[reason]}${detailOf(reason, options?.cause)}`, options)
  }
}

/** Which names it has instead; else OpenSSL's code, since its text is none for people. */
function detailOf(reason: TlsFault, cause: (Error & { code?: string }) | undefined): string {
  if (cause === undefined || reason === 'tls-only') return ''
  return ` (${reason === 'wrong-host' ? cause.message : (cause.code ?? cause.message)})`
}

/**
 * The server has as many clients as it takes. Connections that are open go on. Decision: close some, or raise `maxclients`.
 */
export class TooManyClientsError extends ShardqError {
  constructor(
    readonly node: string,
    options?: ErrorOptions,
  ) {
    super(
      `${node} refuses one more connection: max number of clients reached; close clients that nobody needs (redis-cli CLIENT ` +
        'LIST), or raise the limit (redis-cli CONFIG SET maxclients N); while it is reached, redis-cli itself gets in only ' +
        'when some client has left',
      options,
    )
  }
}

/**
 * At the addresses of the seeds there is another cluster than before, and of the one before nobody answers any more. The
 * client goes on with the new one; what waited in the old one is not there. Decision: whether that was meant.
 */
export class ClusterReplacedError extends ShardqError {
  constructor(
    /** `host:port` of the seed that told. */
    readonly node: string,
    /** For how long no node of the cluster before had answered, ms. */
    readonly silentMs: number,
  ) {
    super(
      `${node} is a node of another cluster than before, and no node of the one before has answered for ${silentMs} ms; ` +
        'going on with the other one, which has nothing of what waited before. If that was not meant, disconnect and correct ' +
        'the addresses of the nodes',
    )
  }
}

/** The server wants no password, and one is given. Everything works. Decision: set one on the server, or leave it out here. */
export class PasswordNotNeededError extends ShardqError {
  constructor(readonly node: string) {
    super(
      `${node} wants no password, and one is given: anybody is let in; set one on the server (requirepass, or an ACL user), ` +
        'or leave it out here',
    )
  }
}

/** The server is older than shardq needs (Redis 7.0, Valkey 8.0). */
export class ServerTooOldError extends ShardqError {
  constructor(
    readonly node: string,
    readonly version: string,
  ) {
    super(`${node} runs ${version}; shardq needs Redis >= 7.0 or Valkey >= 8.0`)
  }
}

/** `mode: 'cluster'` points at a single server, or `mode: 'single'` at a node of a cluster. */
export class WrongModeError extends ShardqError {
  constructor(
    readonly node: string,
    readonly expected: 'cluster' | 'single',
  ) {
    super(
      expected === 'cluster'
        ? `${node} is not part of a cluster (cluster_enabled:0); use mode 'single' with url redis://${node}, ` +
            'or create a cluster with: shardq cluster up'
        : `${node} is a cluster node; use mode 'cluster' with nodes [${node}]`,
    )
  }
}

/** The queue exists in the cluster with another number of partitions, which cannot be changed in place. */
export class PartitionMismatchError extends ShardqError {
  constructor(
    readonly queue: string,
    readonly asked: number,
    readonly stored: number,
  ) {
    super(
      `queue ${queue} has ${stored} partitions in the cluster, and this client asks for ${asked}; ` +
        'leave out partitions to take the stored number',
    )
  }
}

/**
 * The cluster holds two different numbers of partitions for one queue: a copy was lost with its master, or the queue was made twice.
 * Clients of the one do not see the tasks of the other, so none goes on. Decision: keep the number under which the tasks
 * lie, remove the keys that hold the other, and connect again.
 */
export class PartitionConflictError extends ShardqError {
  constructor(
    readonly queue: string,
    /** What was found, and where. */
    readonly found: readonly { readonly partitions: number; readonly key: string; readonly node: string }[],
  ) {
    super(
      `queue ${queue} has different numbers of partitions in the cluster: ` +
        `${found.map(({ partitions, key, node }) => `${partitions} by ${key} on ${node}`).join(', ')}; ` +
        'nothing is sent or taken; remove the keys that hold the wrong number (redis-cli -c DEL KEY), and connect again',
    )
  }
}

/** The queue or worker was used before connect() or after disconnect(). */
export class NotConnectedError extends ShardqError {
  constructor(readonly queue: string) {
    super(`queue ${queue} is not connected; call connect() first, and nothing after disconnect()`)
  }
}

/** A handler ran longer than the task's `timeoutMs`; the attempt failed. */
export class TaskTimeoutError extends ShardqError {
  constructor(
    readonly taskId: string,
    readonly timeoutMs: number,
  ) {
    super(`task ${taskId} ran longer than its timeoutMs of ${timeoutMs}`)
  }
}

/** A worker got a task for which it has no handler; the attempt failed. */
export class UnknownTaskTypeError extends ShardqError {
  constructor(
    readonly queue: string,
    readonly type: string,
  ) {
    super(`this worker of queue ${queue} has no handler for tasks of type ${JSON.stringify(type)}; add one`)
  }
}

/** The reason of an aborted signal when the worker stops; the task is handed back and run elsewhere. */
export class WorkerStoppedError extends ShardqError {
  constructor(readonly queue: string) {
    super(`the worker of queue ${queue} stops; the task is handed back`)
  }
}

/** We cannot listen there. Decision: another port, or end what holds it. */
export class ListenError extends ShardqError {
  constructor(
    readonly host: string,
    readonly port: number,
    options: ErrorOptions & { cause: Error },
  ) {
    super(
      `cannot listen on ${host}:${port} (${options.cause.message}); choose another --port or --host`,
      options,
    )
  }
}

/** There is no queue of this name. Decision: another name, or a producer that makes it. */
export class QueueNotFoundError extends ShardqError {
  constructor(readonly queue: string) {
    super(`there is no queue ${queue} here; the names of all queues: shardq queue list`)
  }
}
