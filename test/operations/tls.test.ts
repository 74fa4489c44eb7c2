import { afterAll, beforeAll, describe } from 'vitest'
import type { LocalCluster } from '../../src/cluster/index.js'
import { bundleBehaviour } from '../helpers/behaviour/bundles.js'
import { lostWorkerBehaviour } from '../helpers/behaviour/lost-worker.js'
import { manyBehaviour } from '../helpers/behaviour/many.js'
import { peekBehaviour } from '../helpers/behaviour/peek.js'
import { queueBehaviour } from '../helpers/behaviour/queue.js'
import { workerBehaviour } from '../helpers/behaviour/worker.js'
import { openCluster } from '../helpers/own-cluster.js'

/** All that a queue does, over TLS, with a password and a certificate of the client. */
describe('on a cluster with TLS and a password', () => {
  let cluster: LocalCluster
  let dispose: () => Promise<void>

  beforeAll(async () => {
    ;({ cluster, dispose } = await openCluster({
      password: true,
      tls: true,
      settings: { 'cluster-node-timeout': '2000' },
    }))
  })

  afterAll(() => dispose?.())

  const connection = () => cluster.connection
  describe('a queue', () => queueBehaviour(connection))
  describe('bundles', () => bundleBehaviour(connection))
  describe('many tasks', () => manyBehaviour(connection))
  describe('peek', () => peekBehaviour(connection))
  describe('a worker', () => workerBehaviour(connection))
  describe('tasks of a lost worker', () => lostWorkerBehaviour(connection))
})
