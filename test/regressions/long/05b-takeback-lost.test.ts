import { it } from 'vitest'
import { playLateReplicas } from '../../helpers/play-late-replicas.js'

it('no task is lost when late replicas made it go from shard to shard a hundred times', () =>
  playLateReplicas({ rounds: 100, callers: 4, partitions: 12, lateMs: 360 }))
