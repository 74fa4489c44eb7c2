import { Option } from 'commander'
import { DEFAULT_DATA_DIR } from '../cluster/index.js'
import { hostPort } from './arguments.js'

/** `--node`: which cluster is meant, by one of its nodes. */
export const nodeOption = (about = 'a node of the cluster') =>
  new Option(
    '--node <host:port>',
    `${about} (default: the nodes of --config, or of the data folder)`,
  ).argParser(hostPort)

/** `--data-dir`: the same, by the folder of a local one. */
export const dataDirOption = (about = 'the data folder given to `up`') =>
  new Option('--data-dir <dir>', `${about} (default: ${DEFAULT_DATA_DIR})`)

/** `--redis-path`: the server to run. */
export const redisPathOption = () =>
  new Option('--redis-path <path>', 'server binary, or its folder (default: SHARDQ_REDIS_PATH, then PATH)')
