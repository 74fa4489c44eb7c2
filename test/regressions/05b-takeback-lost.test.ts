import { it } from 'vitest'
import { playLateReplicas } from '../helpers/play-late-replicas.js'

it('no task is lost when late replicas made it go from shard to shard, and its neighbours fail', () =>
  playLateReplicas({ rounds: 3, callers: 6, partitions: 3, lateMs: 360 }))
