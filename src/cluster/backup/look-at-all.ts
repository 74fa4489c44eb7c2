import type { RedisServer } from '../find-server.js'
import type { CheckedBackup } from './check-backup.js'
import { mustAgreeOnTime } from './clocks.js'
import { dropForeign, mustNotClash } from './foreign.js'
import { mustTake } from './format.js'
import { giveLibraries, type Holder, holderOf } from './libraries.js'
import { lookAtKeys, withLoaded } from './look.js'
import type { RestoreOptions } from './restore-options.js'
import { mustHaveRoom, type Need, needOf, roomOf } from './room.js'
import type { Target } from './target.js'

export interface Sources {
  readonly backup: CheckedBackup
  readonly server: RedisServer
  readonly target: Target
  readonly options: RestoreOptions
}

/** Whatever is wrong with a file is found before a key of another one is written. The price: each is read by a server twice. */
export async function lookAtAll({ backup, server, target, options }: Sources): Promise<void> {
  const { folder, manifest } = backup
  const holders: Holder[] = []
  const needs: Need[] = []
  const room = await roomOf(target.nodes)
  for (const shard of manifest.shards)
    await withLoaded(server, backup, shard, options.signal, async ({ link, loaded }) => {
      const skipped = options.skipTaken ? await dropForeign(link) : []
      await mustTake(target.nodes, { server, link }, manifest)
      await mustAgreeOnTime(target.nodes, link, shard.keys - skipped.length)
      if (!options.skipFunctions) holders.push(await holderOf(shard.file, link))
      needs.push(await needOf(shard, link))
      await lookAtKeys(folder, shard, link, {
        signal: options.signal,
        onKeys: (keys) => options.onProgress?.({ state: 'looking', file: shard.file, keys, of: loaded }),
      })
      await mustNotClash(target, shard.file, link)
    })
  mustHaveRoom(target, room, needs)
  // That a node takes them only shows when it does. Killed here, the next call finds what it would bring itself.
  await giveLibraries(target.nodes, holders, folder)
}
