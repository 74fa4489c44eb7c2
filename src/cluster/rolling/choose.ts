import { InvalidOptionError } from '../../errors.js'
import { findServer, type RedisServer } from '../find-server.js'
import { CommandHands, type RestartHands, SupervisedHands } from './hands.js'
import { LocalRestartHands } from './local-hands.js'
import type { RollingOptions } from './options.js'

/** @throws InvalidOptionError, ServerTooOldError */
export async function serverFor({ dataDir, redisPath }: RollingOptions): Promise<RedisServer | null> {
  if (redisPath === undefined) return null
  if (dataDir === undefined)
    throw new InvalidOptionError(
      '--redis-path',
      'it is for a local cluster; elsewhere, put the new server in place and name what restarts a node (--restart-command, --supervised)',
    )
  return findServer({ redisPath })
}

/** @throws InvalidOptionError when it is not said how nodes are restarted, or in two ways; DataDirError */
export async function handsFor(options: RollingOptions, server: RedisServer | null): Promise<RestartHands> {
  const { dataDir, restartCommand, supervised } = options
  if (restartCommand !== undefined && supervised)
    throw new InvalidOptionError('--supervised', 'it goes without --restart-command')
  if (restartCommand !== undefined) return new CommandHands(restartCommand)
  if (supervised) return new SupervisedHands(options)
  if (dataDir !== undefined) return LocalRestartHands.open(dataDir, server)
  throw new InvalidOptionError(
    '--restart-command',
    "these nodes were not started by shardq; say how each is restarted: --restart-command 'ssh {host} sudo systemctl restart redis@{port}', " +
      'or --supervised where SHUTDOWN is enough',
  )
}
