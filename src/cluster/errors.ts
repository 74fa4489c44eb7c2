import { ShardqError } from '../errors.js'
import { shellWord } from '../shell.js'
import { visible } from '../visible.js'
import type { Holder } from './operation/holder.js'

/** Of what a plan has in it unexpectedly, so much is shown. */
const MOST_UNEXPECTED = 3

/** No Redis or Valkey server was found. Decision: type `command`, or pass --redis-path. */
export class ServerNotFoundError extends ShardqError {
  constructor(
    /** Where we looked, in order. */
    readonly searched: readonly string[],
    /** The one command that installs a server on this system. */
    readonly command: string,
    options?: ErrorOptions,
  ) {
    super(
      `no redis-server or valkey-server found (looked in ${searched.join(', ')}); install one with: ` +
        `${command} - or name one you have with --redis-path or SHARDQ_REDIS_PATH`,
      options,
    )
  }
}

/** Installing the system's package was tried and failed. Decision: type `command` and read what it says. */
export class ServerInstallError extends ShardqError {
  constructor(
    readonly command: string,
    /** The last lines the package manager printed. */
    readonly output: string,
    { what = 'a Redis server', ...options }: ErrorOptions & { readonly what?: string } = {},
  ) {
    super([`could not install ${what}; try it by hand: ${command}`, ...output.split('\n')], options)
  }
}

/** A port that a node needs is taken. Nothing was started. Decision: free it or choose another base port. */
export class PortInUseError extends ShardqError {
  constructor(
    readonly port: number,
    /** `bus`: the port on which nodes talk to each other, always the node's port + 10000. */
    readonly use: 'data' | 'bus',
    /** What holds it, when it could be told. */
    readonly holder: string | null,
    wayOut: string,
  ) {
    super(
      `port ${port}${use === 'bus' ? ` (cluster bus of node ${port - 10_000})` : ''} is in use` +
        `${holder === null ? '' : ` by ${holder}`}; nothing was started; ${wayOut}`,
    )
  }
}

/** A server process ended, or did not answer in time, while it was being started. */
export class NodeStartError extends ShardqError {
  constructor(
    readonly port: number,
    problem: string,
    /** The end of the node's log, kept here because a failed `up` removes the folder. */
    readonly log: string,
    options?: ErrorOptions,
  ) {
    super([`node ${port} did not start: ${problem}`, ...(log === '' ? [] : log.split('\n'))], options)
  }
}

/**
 * Folders of nodes are gone, with their data, and these cannot be started. The other nodes run. Decision: bring the folders back, or give the
 * nodes up.
 */
export class NodeLostError extends ShardqError {
  constructor(
    readonly ports: readonly number[],
    dataDir: string,
    options?: ErrorOptions,
  ) {
    const names = ports.map((port) => `node ${port}`).join(', ')
    const folders = ports.map((port) => `node_${port}`).join(', ')
    const forget = ports.map((port) => `--forget 127.0.0.1:${port}`).join(' ')
    const where = ` --data-dir ${shellWord(dataDir)}`
    super(
      `${names} cannot be started: there is no ${folders} with its redis.conf in ${dataDir} any more; all other nodes run; put it back and ` +
        `type this again; or, if it is gone for good: shardq cluster fix ${forget}${where} - and a new replica in its place: ` +
        `shardq cluster add-node --replica-of auto${where} (if a replica has the data of a master that is gone, \`fix\` first says how it takes its place)`,
      options,
    )
  }
}

/** The nodes run, but did not all become ready in time. `missing` says what was still wanting. */
export class ClusterNotReadyError extends ShardqError {
  constructor(
    /** 0: it was looked at once. */
    readonly timeoutMs: number,
    readonly missing: readonly string[],
    options?: ErrorOptions,
  ) {
    const problem =
      timeoutMs === 0 ? 'is not ready; missing' : `was not ready within ${timeoutMs} ms; still missing`
    super(`the cluster ${problem}: ${missing.join('; ')}`, options)
  }
}

/** The data folder holds something other than what was asked for. Decision: another folder, or --clean. */
export class DataDirError extends ShardqError {
  constructor(
    readonly dataDir: string,
    problem: string,
    options?: ErrorOptions,
  ) {
    super(`${dataDir}: ${problem}`, options)
  }
}

/** A node of ours would not end. Decision: look at its log; its pid is in the message. */
export class NodeStopError extends ShardqError {
  constructor(
    readonly port: number,
    readonly pid: number,
    problem: string,
    options?: ErrorOptions,
  ) {
    super(`node ${port} (pid ${pid}) could not be stopped: ${problem}`, options)
  }
}

/** Nodes of ours would not come back with the data that they have now. None was stopped. Decision: what each problem says. */
export class StopRefusedError extends ShardqError {
  constructor(
    readonly dataDir: string,
    /** Each names the node, and what to type. */
    readonly problems: readonly string[],
    options?: ErrorOptions,
  ) {
    const folder = `--data-dir ${shellWord(dataDir)}`
    super(
      [
        'nothing was stopped, since data would be lost:',
        ...problems.map((each) => `  - ${each}`),
        `  then again, it waits until the file is written: shardq cluster stop ${folder}`,
        `  or, if all data of this cluster may go, begin with an empty one: shardq cluster up --clean ${folder}`,
      ],
      options,
    )
  }
}

/** No answer from a node's address in time. */
export class NodeUnreachableError extends ShardqError {
  constructor(
    readonly node: string,
    { wayOut, ...options }: ErrorOptions & { cause?: Error; wayOut?: string } = {},
  ) {
    super(
      `no answer from ${node}${options.cause ? ` (${options.cause.message})` : ''}; ` +
        (wayOut ?? 'is it running? start a local cluster with: shardq cluster up'),
      options,
    )
  }
}

/** The connection broke before the answer: a node that ended, was restarted, or was told to end. Decision: look whether it is back. */
export class ConnectionLostError extends NodeUnreachableError {}

/**
 * A node has as many clients as it takes (maxclients), and turns everybody away, whoever would raise the limit too.
 * Decision: end programs that hold connections, or restart the node with a higher limit.
 */
export class NodeFullError extends NodeUnreachableError {
  constructor(
    node: string,
    /** The server's own words. */
    readonly said: string,
  ) {
    const port = node.slice(node.lastIndexOf(':') + 1)
    super(node, {
      cause: new Error(said),
      wayOut:
        'it runs, and takes no more clients, not even one that would raise its limit: on its host, see who has the connections ' +
        `with: ss -tnp 'sport = :${port} or dport = :${port}' - end some of these programs, and then raise maxclients ` +
        '(redis-cli CONFIG SET), or set it in redis.conf and restart the node',
    })
  }
}

/**
 * Users were to be changed, or the default user switched off, and nobody could be sure to undo it. Nothing of that was done. Decision: mend
 * the reasons.
 */
export class LockOutError extends ShardqError {
  constructor(
    readonly reasons: readonly string[],
    stays = 'the default user stays on',
  ) {
    super(`${stays}: ${reasons.join('; ')}`)
  }
}

/**
 * Nodes would have written down what they have over edits of their files that are not in effect yet. Nothing was changed. Decision: which of the
 * two is to be kept.
 */
export class FilesEditedError extends ShardqError {
  constructor(
    /** What would have written them. */
    readonly operation: string,
    /** Each with its node, as the file says and as the node has it. No secrets. */
    readonly edits: readonly string[],
    choice: string,
  ) {
    super(
      `${operation} would overwrite what files of nodes say since they were changed, and nothing was done: ${edits.join('; ')}; ${choice}`,
    )
  }
}

/** The caller's AbortSignal fired. What this call had started was ended again, or the message says what is left. */
export class InterruptedError extends ShardqError {
  constructor(what: string, options?: ErrorOptions & { readonly left?: string }) {
    super(
      `${what} was interrupted; ${options?.left ?? 'everything it had started was ended again'}`,
      // What is not there is not to stand there as undefined.
      options?.cause === undefined ? undefined : { cause: options.cause },
    )
  }
}

/** Something else is changing the cluster. Nothing was done. Decision: wait for it, or end it. */
export class OperationInProgressError extends ShardqError {
  constructor(
    /** What was to be done. */
    readonly operation: string,
    readonly holder: Holder,
    /** For how long its lock outlives it, should it have died on another host. */
    leaseMs: number,
  ) {
    super(
      `${operation} has to wait: ${holder.operation} has been running on this cluster since ${holder.since} ` +
        `(process ${holder.pid} on ${holder.host}); let it finish, or end it there with: kill -INT ${holder.pid} - ` +
        `if it is gone already, its lock ends ${leaseMs / 1000} s after it`,
    )
  }
}

/**
 * A node tells of another one whose id, host or port no server could have: its table of nodes was written by somebody who wants it to be
 * typed or carried out. Nothing of it is used. Decision: find out what speaks on the cluster bus, and close it to others.
 */
export class NodeViewError extends ShardqError {
  constructor(
    /** Who was asked. */
    readonly host: string,
    wrong: string,
  ) {
    super(
      `${host} tells of a node that cannot be: ${visible(JSON.stringify(wrong.slice(0, 80)))}; see who reaches its cluster bus: ` +
        'shardq cluster firewall --help',
    )
  }
}

/**
 * The cluster has changed since the plan was made that was agreed to, and another plan would be needed now. Nothing was done.
 * Decision: look at the new plan.
 */
export class PlanChangedError extends ShardqError {
  constructor(
    readonly operation: string,
    /** What would be done now and was not in the plan. */
    readonly unexpected: readonly string[],
  ) {
    const shown = unexpected.slice(0, MOST_UNEXPECTED).join('; ')
    const more = unexpected.length - MOST_UNEXPECTED
    super(
      `the cluster has changed since the plan was made, and nothing was done; what is new: ${shown}` +
        `${more > 0 ? `; and ${more} more` : ''}; look at the new plan: shardq cluster ${operation}`,
    )
  }
}

/** Where operations write down what they do, the cluster has something of somebody else. Decision: look at it, and remove it. */
export class KeyTakenError extends ShardqError {
  constructor(
    readonly key: string,
    options?: ErrorOptions,
  ) {
    super(
      `what the cluster has as ${key} is not from shardq, which writes down there what its operations do; if nobody needs it: ` +
        `redis-cli -c DEL ${key}`,
      options,
    )
  }
}

/**
 * A restarted node is told again only what another one has too, and one that may have it did not answer, or does not let us look. What was sure was
 * told; the rest stays written down. Decision: start that node, or give it up, and again.
 */
export class WitnessSilentError extends ShardqError {
  constructor(
    /** `slowlog-max-len`, `user reporter` */
    readonly unseen: readonly string[],
    /** Nodes, each with what it failed with. */
    readonly silent: readonly string[],
  ) {
    super(
      `${unseen.join(', ')}: told again only if another node has the same, and what is there could not be seen of ${silent.join(', ')}; ` +
        'start it, or if it is gone for good: shardq cluster fix --forget HOST:PORT',
    )
  }
}

/**
 * What an operation would owe to a node was to be written down, and no replica has confirmed it: with the master that has it, it would be
 * forgotten. The node was not changed. Decision: see to the replicas of that master, and again.
 */
export class UnconfirmedNoteError extends ShardqError {
  constructor(
    readonly operation: string,
    why: string,
  ) {
    super(
      `${operation} changed no setting and restarted nothing: what a node is to get back has to be at a replica first, and ${why}; ` +
        'look at its replicas with: shardq cluster check - and try again',
    )
  }
}

/** The lock under which the operation ran is lost, so it ended after the step under way. Decision: run it again. */
export class OperationLostError extends ShardqError {
  constructor(
    readonly operation: string,
    private readonly why: string,
    options?: ErrorOptions,
  ) {
    super(
      `${operation} lost its lock on the cluster (${why}) and ended after the step under way; run it again, it goes on from there`,
      options,
    )
  }

  /** The same, with what the operation failed with when it was ended. */
  because(cause: unknown): OperationLostError {
    return new OperationLostError(this.operation, this.why, { cause })
  }
}

/** The cluster does not take the lock that keeps two operations apart. Nothing was done. Decision: mend the cluster first. */
export class LockUnavailableError extends ShardqError {
  constructor(
    readonly operation: string,
    options: ErrorOptions & { cause: Error },
  ) {
    super(
      `the cluster does not take the lock for ${operation} (${options.cause.message}); ` +
        'look at it with: shardq cluster check, and mend it with: shardq cluster fix',
      options,
    )
  }
}

/** A node cannot be added or removed as things are. Nothing was changed. Decision: what each problem says. */
export class NodeRefusedError extends ShardqError {
  constructor(
    /** `host:port` */
    readonly node: string,
    readonly what: 'added' | 'removed',
    /** Each with the way out. */
    readonly problems: readonly string[],
  ) {
    super([`${node} is not ${what}, and nothing was changed:`, ...problems.map((each) => `  - ${each}`)])
  }
}

/**
 * A node that is to be removed has keys of slots that other nodes own, so that nobody finds them: its append-only file has brought back
 * what had left, or somebody has written to it since. Decision: what the message says.
 */
export class NodeNotEmptyError extends ShardqError {
  constructor(
    /** `host:port` */
    readonly node: string,
    readonly notDone: 'removed' | 'emptied',
    readonly keys: number,
    problem: string,
    remedy: string,
  ) {
    super(
      `${node} is not ${notDone}: it has ${keys} ${keys === 1 ? 'key' : 'keys'} of slots that other nodes own, ${problem}; ${remedy}`,
    )
  }
}

/**
 * A node that is to be removed, or emptied, which makes it a replica, has libraries of functions that no other master has just so: with it they would
 * be lost. Nothing was done. Decision: give them to the other masters, or delete them.
 */
export class OnlyLibrariesError extends ShardqError {
  /** Names of the libraries. */
  readonly libraries: readonly string[]

  constructor(
    /** `host:port` */
    readonly node: string,
    readonly notDone: 'removed' | 'emptied',
    {
      names,
      what,
      remedy,
    }: { readonly names: readonly string[]; readonly what: string; readonly remedy: string },
  ) {
    super(
      `${node} is not ${notDone}: no other master has ${what} just so, and with it they would be lost; ${remedy}`,
    )
    this.libraries = names
  }
}

/** These servers cannot become a cluster as they are. Nothing was changed. Decision: what each problem says. */
export class CreateRefusedError extends ShardqError {
  constructor(
    /** Each names the node, what is wrong with it, and the way out. */
    readonly problems: readonly string[],
    options?: ErrorOptions,
  ) {
    super(
      ['no cluster was created, and nothing was changed:', ...problems.map((each) => `  - ${each}`)],
      options,
    )
  }
}

/**
 * Making one cluster of servers failed half way. Decision: mend what `cause` says, and create again; where nodes are `taken`, look first what
 * somebody else has made of them.
 */
export class CreateFailedError extends ShardqError {
  /** Nodes that are not empty again. None: all are as they were. */
  readonly left: readonly string[]
  /** Of those, whom somebody uses by now. They were left as they are. */
  readonly taken: readonly string[]

  constructor(
    problem: string,
    { left, taken }: { readonly left: readonly string[]; readonly taken: readonly string[] },
    options?: ErrorOptions,
  ) {
    const silent = left.filter((each) => !taken.includes(each))
    const undone = [
      ...(left.length === 0 ? ['every node is empty again, and it can be run again'] : []),
      ...(silent.length === 0
        ? []
        : [
            `${silent.join(', ')} could not be made empty again; when they answer: shardq cluster create --reset`,
          ]),
      ...(taken.length === 0
        ? []
        : [
            `${taken.join(', ')}: not as this run has found or made them, or with keys, so somebody else uses them; left as they are. Look at ` +
              `them: shardq cluster status --node ${taken[0]}`,
          ]),
    ]
    super(`no cluster was created: ${[problem, ...undone].join('; ')}`, options)
    this.left = left
    this.taken = taken
  }
}

/** The server does not permit a command that ours cannot do without, and nothing was done. Decision: the provider's own tool. */
export class AdministrationRefusedError extends ShardqError {
  constructor(
    readonly node: string,
    /** `CLUSTER SETSLOT` */
    readonly command: string,
    /** What needs it: `cluster fix`. */
    readonly what: string,
    options?: ErrorOptions,
  ) {
    super(
      `${node} does not permit ${command}, without which ${what} cannot work; nothing was done. Where the cluster is hosted, its ` +
        'provider does this; on your own servers use a user who may',
      options,
    )
  }
}

/**
 * A rolling restart has ended before its end, between two steps: every shard is served. Decision: do what the problems name, and
 * run it again; it goes on from there.
 */
export class RollingStoppedError extends ShardqError {
  constructor(
    readonly problems: readonly string[],
    /** Names of the nodes that are done. */
    readonly done: readonly string[],
    /** Names of those that are not. */
    readonly left: readonly string[],
    options?: ErrorOptions,
  ) {
    super(
      `the rolling restart ${done.length === 0 ? 'stopped before any node was done' : `stopped with ${done.length} of ${done.length + left.length} nodes done`}: ` +
        `${problems.join('; ')}; when that is mended, run it again: it goes on from there`,
      options,
    )
  }
}

/** No backup that could be vouched for. Nothing of it was kept. Decision: mend what is named, and again. */
export class BackupRefusedError extends ShardqError {
  constructor(
    readonly reasons: readonly string[],
    options?: ErrorOptions & { readonly wayOut?: string },
  ) {
    const { wayOut = 'look at it with: shardq cluster check, and try again when it is mended' } =
      options ?? {}
    super(
      `no backup: ${reasons.join('; ')}; ${wayOut}`,
      // What is not there is not to stand there as undefined.
      options?.cause === undefined ? undefined : { cause: options.cause },
    )
  }
}

/** A folder holds no backup, one that is not whole, or something else. Decision: another folder, or another backup. */
export class BackupFolderError extends ShardqError {
  constructor(
    readonly folder: string,
    readonly faults: readonly string[],
    options?: ErrorOptions,
  ) {
    super(`${folder}: ${faults.join('; ')}`, options)
  }
}

/** There is a backup, and it is whole; what comes after was not done. Decision: look at the disk, and verify it, or take another. */
export class BackupUnsettledError extends ShardqError {
  constructor(
    readonly folder: string,
    /** `may not survive a loss of power (EIO: ...)` */
    readonly faults: readonly string[],
    options?: ErrorOptions,
  ) {
    super(
      `${folder}: the backup is there, but ${faults.join('; ')}; look at the disk, then type: ` +
        `shardq cluster backup verify ${shellWord(folder)}; or take another into a new folder`,
      options,
    )
  }
}

/** The cluster cannot take this backup. Nothing in it was changed, but for functions that the message names. Decision: another cluster, or what the message says. */
export class RestoreRefusedError extends ShardqError {
  constructor(problem: string, options?: ErrorOptions) {
    super(`not restored: ${problem}`, options)
  }
}

/** A restore has begun and is not at its end. What it has copied stays. Decision: the same command once more goes on. */
export class RestoreIncompleteError extends ShardqError {
  constructor(problem: string, options?: ErrorOptions) {
    super(
      `the restore is not complete: ${problem}; do not start workers on this cluster yet; ` +
        'the same command once more goes on where this one ended',
      options,
    )
  }
}
