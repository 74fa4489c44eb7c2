import { InvalidOptionError } from '../errors.js'

/** Somebody has named a node that the cluster does not have, or not any more. */
export const noSuchNode = (option: string, name: string, what: 'node' | 'master' = 'node') =>
  new InvalidOptionError(
    option,
    `the cluster has no ${what} ${name}; see which it has with: shardq cluster status`,
  )
