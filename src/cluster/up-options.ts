import { resolve } from 'node:path'
import { InvalidOptionError } from '../errors.js'
import type { Manifest } from './data-dir.js'
import { DataDirError } from './errors.js'
import type { RedisServer } from './find-server.js'
import type { LocalNode } from './local-cluster.js'
import type { ForgottenNode } from './membership/forgotten.js'
import { PROFILES, type Profile, type Settings } from './node-config.js'
import { checkPortNumbers } from './ports.js'
import { askedTls, tlsOptions, withoutSecrets } from './security/asked.js'

export interface UpOptions {
  /** First of the consecutive ports. Default 7000. Each node also takes its port + 10000 (cluster bus). */
  readonly basePort?: number
  /** One port per node, masters first, in place of `basePort`. */
  readonly ports?: readonly number[]
  /** At least 3: fewer can neither elect nor outvote. Default 3. */
  readonly masters?: number
  /** Default 1. With 0 nothing survives the loss of a master. */
  readonly replicasPerMaster?: number
  /** Default `.shardq/cluster` in the current folder. */
  readonly dataDir?: string
  /**
   * A server binary, or the folder that holds one. Default: the one that the cluster was made with, or was upgraded to, by its path;
   * otherwise SHARDQ_REDIS_PATH, then PATH.
   */
  readonly redisPath?: string
  /** Default `queue`. */
  readonly profile?: Profile
  /**
   * Redis settings that replace the profile's, such as `{ 'cluster-node-timeout': '1000' }` (milliseconds). They are kept
   * in cluster.json; `requirepass` is taken for `password`, and is not.
   */
  readonly settings?: Settings
  /**
   * What clients have to say, and nodes to each other. `true`: generate one. It is kept in the file `password` of the data
   * folder (mode 0600), where all that is given the folder finds it. Default: none.
   */
  readonly password?: string | true
  /**
   * TLS, and nothing but TLS, for clients, replication and cluster bus. `true`: with certificates that are made in the data
   * folder, for this machine alone. Default: none.
   */
  readonly tls?: boolean | TlsUpOptions
  /** First end the cluster in the data folder and remove its data. Default false. */
  readonly clean?: boolean
  /** Longest wait for readiness once the nodes answer, milliseconds. Default 30 000. */
  readonly timeoutMs?: number
  /** Ends the call; what it had started is ended again. */
  readonly signal?: AbortSignal
  /** Told of every step as it happens. */
  readonly onStep?: (step: UpStep) => void
}

export interface TlsUpOptions {
  /** A folder with ca.crt, node.crt, node.key, client.crt, client.key. Default: they are made in the data folder. */
  readonly dir?: string
  /** Whether clients have to show a certificate. Default true, as with Redis; false needs a password. */
  readonly authClients?: boolean
}

export type UpStep =
  | { readonly step: 'install'; readonly command: string }
  | ({ readonly step: 'server' } & RedisServer)
  | { readonly step: 'folder'; readonly path: string }
  /** `file` has the password. */
  | { readonly step: 'password'; readonly file: string }
  | { readonly step: 'certificates'; readonly path: string }
  | { readonly step: 'config'; readonly path: string; readonly port: number }
  | { readonly step: 'started'; readonly port: number; readonly pid: number }
  | { readonly step: 'slots'; readonly port: number; readonly first: number; readonly last: number }
  /** The folder was another one when it was last brought up; `isCopy`: that one still holds a cluster. */
  | { readonly step: 'moved'; readonly from: string; readonly isCopy: boolean }
  /** The cluster has forgotten it: it is not started, and its folder stays. */
  | ({ readonly step: 'forgotten' } & ForgottenNode)
  | { readonly step: 'running'; readonly ports: readonly number[] }
  | { readonly step: 'ready'; readonly ms: number; readonly nodes: readonly LocalNode[] }

const MOST_MASTERS = 1000

const DEFAULTS = { basePort: 7000, masters: 3, replicasPerMaster: 1, profile: 'queue' } as const

/** What a new cluster with these options is. @throws InvalidOptionError */
export function newManifest(options: UpOptions): Manifest {
  const masters = options.masters ?? DEFAULTS.masters
  const replicasPerMaster = options.replicasPerMaster ?? DEFAULTS.replicasPerMaster
  const profile = options.profile ?? DEFAULTS.profile
  if (masters > MOST_MASTERS)
    throw new InvalidOptionError(
      'masters',
      `${masters} masters cannot work: ${MOST_MASTERS} are the most that a Redis Cluster is made for`,
    )
  if (!Number.isInteger(masters) || masters < 3) {
    const why =
      'a cluster needs at least 3, or the ones that are left cannot vote a replica into a dead one’s place'
    throw new InvalidOptionError('masters', `${masters} masters cannot work: ${why}`)
  }
  if (!Number.isInteger(replicasPerMaster) || replicasPerMaster < 0) {
    throw new InvalidOptionError('replicasPerMaster', `expected 0, 1, 2, ... and not ${replicasPerMaster}`)
  }
  if (!PROFILES.includes(profile)) {
    throw new InvalidOptionError('profile', `expected ${PROFILES.join(' or ')} and not ${profile}`)
  }
  const count = masters * (1 + replicasPerMaster)
  const basePort = options.basePort ?? DEFAULTS.basePort
  const ports = options.ports ?? Array.from({ length: count }, (_, index) => basePort + index)
  if (ports.length !== count) {
    throw new InvalidOptionError('ports', `${ports.length} ports for ${count} nodes`)
  }
  checkPortNumbers(ports, options.ports ? 'ports' : 'basePort')
  const tls = askedTls(options)
  return {
    ...{ version: 1, ports, masters, replicasPerMaster, profile, settings: withoutSecrets(options.settings) },
    ...(tls === undefined ? {} : { tls }),
    ...(options.redisPath === undefined ? {} : { redisPath: resolve(options.redisPath) }),
  }
}

const yesNo = (value: boolean | undefined) => (value === undefined ? undefined : value ? 'yes' : 'no')

/**
 * A cluster that exists keeps its shape; what the caller asked for expressly must agree with it.
 * @throws DataDirError naming the first difference
 */
export function checkSameCluster(dataDir: string, manifest: Manifest, options: UpOptions): void {
  const given = tlsOptions(options)
  const asked: [string, unknown, unknown][] = [
    ['--base-port', options.basePort, manifest.ports[0]],
    ['ports', options.ports?.join(), manifest.ports.join()],
    ['--masters', options.masters, manifest.masters],
    ['--replicas-per-master', options.replicasPerMaster, manifest.replicasPerMaster],
    ['--profile', options.profile, manifest.profile],
    ['--tls', options.tls === undefined ? undefined : options.tls !== false, manifest.tls !== undefined],
    ['--tls-dir', given?.dir && resolve(given.dir), manifest.tls && resolve(dataDir, manifest.tls.dir)],
    ['--tls-auth-clients', yesNo(given?.authClients), yesNo(manifest.tls?.authClients)],
  ]
  for (const [option, wanted, has] of asked) {
    if (wanted !== undefined && wanted !== has) {
      throw new DataDirError(
        dataDir,
        `the cluster here has ${option} ${has}, not ${wanted}; leave the option out, choose another --data-dir, ` +
          'or remove the cluster and its data with --clean',
      )
    }
  }
}
