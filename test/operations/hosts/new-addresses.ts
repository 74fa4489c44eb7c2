import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Address, createCluster, ensureServer } from '../../../src/cluster/index.js'
import { withLink } from '../../../src/cluster/link.js'
import { waitUntilWhole } from '../../../src/cluster/whole.js'
import { Network } from '../../helpers/netns.js'
import { until } from '../../helpers/until.js'

const KUBERNETES = fileURLToPath(new URL('../../../deploy/kubernetes/', import.meta.url))
const PORT = 6379
/** With all that a shell and redis.conf could trip over. */
const PASSWORD = 'a "quoted" \\ $HOME'
const WHOLE_MS = 30_000

interface Pod {
  readonly name: string
  readonly dir: string
  address: string
  process: ChildProcess | undefined
}

/** Six pods as deploy/kubernetes starts them; first one, then all at once come back with other addresses. */
export async function newAddresses(): Promise<void> {
  const { path } = await ensureServer()
  const folder = await mkdtemp(join(tmpdir(), 'shardq-pods-'))
  const network = await Network.create()
  const pods: Pod[] = []
  const at = (pod: Pod): Address => ({ host: pod.address, port: PORT })
  const access = { password: PASSWORD }
  const names = join(folder, 'names')
  /** What a name server would know. */
  const publish = () => writeFile(names, pods.map(({ name, address }) => `${name} ${address}\n`).join(''))

  const start = async (pod: Pod) => {
    const [command = '', ...inside] = network.inside(pod.address)
    const log = openSync(join(pod.dir, 'log'), 'a')
    pod.process = spawn(command, [...inside, 'sh', join(KUBERNETES, 'start.sh')], {
      detached: true,
      stdio: ['ignore', log, log],
      env: {
        ...process.env,
        ...{ POD_IP: pod.address, POD_HOSTNAME: pod.name, REDIS_SERVER: path },
        ...{
          CONF: join(folder, 'node.conf'),
          DATA: pod.dir,
          RUN: pod.dir,
          PASSWORD_FILE: join(folder, 'password'),
        },
        RESOLVE: `sh ${join(folder, 'resolve.sh')}`,
      },
    })
    closeSync(log)
  }
  const kill = async (pod: Pod) => {
    if (!pod.process) return
    const ended = once(pod.process, 'exit')
    pod.process.kill('SIGKILL')
    await ended
    pod.process = undefined
  }
  const move = async (pod: Pod, to: string) => {
    await network.move(pod.address, to)
    pod.address = to
    await publish()
  }
  const whole = async (): Promise<string> => {
    const startedMs = performance.now()
    const { nodes } = await waitUntilWhole(pods.map(at), access, { timeoutMs: WHOLE_MS })
    assert.deepEqual(nodes.map(({ host }) => host).sort(), pods.map(({ address }) => address).sort())
    return `${((performance.now() - startedMs) / 1000).toFixed(1)} s`
  }

  try {
    await copyFile(join(KUBERNETES, 'node.conf'), join(folder, 'node.conf'))
    await writeFile(join(folder, 'password'), PASSWORD)
    await writeFile(join(folder, 'resolve.sh'), `awk -v name="$1" '$1 == name { print $2, name }' ${names}\n`)
    for (let number = 1; number <= 6; number++) {
      const { address } = await network.addHost()
      const pod: Pod = {
        name: `redis-${number}.redis`,
        dir: join(folder, `${number}`),
        address,
        process: undefined,
      }
      await mkdir(pod.dir)
      pods.push(pod)
    }
    await publish()
    await Promise.all(pods.map(start))
    await until(
      'all answer',
      () =>
        Promise.all(pods.map((pod) => withLink(at(pod), access, (link) => link.text('PING')).catch(String))),
      (answers) => answers.every((answer) => answer === 'PONG'),
    )
    await createCluster({ nodes: pods.map(at), ...access })
    const views = () =>
      Promise.all(pods.map((pod) => withLink(at(pod), access, (link) => link.text('CLUSTER', 'NODES'))))
    await until('all know all names', views, (all) =>
      all.every((view) => pods.every(({ name }) => view.includes(`,${name}`))),
    )

    const [first] = pods as [Pod]
    await kill(first)
    await move(first, '10.77.0.101')
    await start(first)
    say(`one came back with another address, and all are whole after ${await whole()}`)

    await Promise.all(pods.map(kill))
    for (const [index, pod] of pods.entries()) await move(pod, `10.77.0.${120 + index}`)
    await Promise.all(pods.map(start))
    say(`all six came back with other addresses, and are whole after ${await whole()}`)
  } finally {
    await Promise.all(pods.map(kill))
    await rm(folder, { recursive: true, force: true, maxRetries: 5 })
  }
}

const say = (line: string) => void process.stdout.write(`${line}\n`)
