/** Where a restore under way says so, in the cluster that it fills. A HASH. */
export const RESTORE_KEY = 'shardq:restore'
