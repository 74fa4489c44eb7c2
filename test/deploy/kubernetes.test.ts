import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { StatefulSet } from 'kubernetes-types/apps/v1.js'
import type { Job } from 'kubernetes-types/batch/v1.js'
import type { Container, PodSpec, Probe, Service } from 'kubernetes-types/core/v1.js'
import type { NetworkPolicy } from 'kubernetes-types/networking/v1.js'
import type { PodDisruptionBudget } from 'kubernetes-types/policy/v1.js'
import { describe, expect, inject, it } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { nodeList } from '../../src/cli/arguments.js'
import { type Address, freePorts } from '../../src/cluster/index.js'
import { bareServers } from '../helpers/bare-servers.js'
import { tempDir } from '../helpers/temp-dir.js'
import { DEPLOY } from './tools.js'

const run = promisify(execFile)
const FOLDER = join(DEPLOY, 'kubernetes')
const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const text = (name: string) => readFile(join(FOLDER, name), 'utf8')

/** Where the type of each kind is; one that is not here is not checked, and fails. */
const TYPES: Readonly<Record<string, string>> = {
  Namespace: 'core/v1',
  Service: 'core/v1',
  StatefulSet: 'apps/v1',
  PodDisruptionBudget: 'policy/v1',
  NetworkPolicy: 'networking/v1',
  Job: 'batch/v1',
}

const kustomization = parse(await text('kustomization.yaml')) as {
  readonly resources: readonly string[]
  readonly configMapGenerator: readonly { readonly name: string; readonly files: readonly string[] }[]
}
const objects = (
  await Promise.all(
    kustomization.resources.map(async (name) =>
      parseAllDocuments(await text(name)).map((each) => each.toJS() as { kind: string }),
    ),
  )
).flat()

function object<T>(kind: string): T {
  const found = objects.find((each) => each.kind === kind)
  if (!found) throw new Error(`no ${kind} here`)
  return found as T
}

const podOf = (kind: 'StatefulSet' | 'Job') => object<StatefulSet | Job>(kind).spec?.template.spec as PodSpec
const containerOf = (kind: 'StatefulSet' | 'Job') => podOf(kind).containers[0] as Container

describe('the manifests', () => {
  it('have no field that Kubernetes does not know, none of another type, and all that it wants', async () => {
    const lines = objects.map(
      (each, index) =>
        `import type { ${each.kind} as T${index} } from 'kubernetes-types/${TYPES[each.kind]}.js'\n` +
        `export const o${index}: T${index} = ${JSON.stringify(each)}`,
    )
    const check = async (program: string) => {
      const dir = await tempDir()
      await writeFile(join(dir, 'manifests.mts'), program)
      const config = {
        extends: join(ROOT, 'tsconfig.json'),
        compilerOptions: {
          paths: { 'kubernetes-types/*': [join(ROOT, 'node_modules/kubernetes-types/*')] },
          types: [],
        },
        include: ['manifests.mts'],
      }
      await writeFile(join(dir, 'tsconfig.json'), JSON.stringify(config))
      const tsc = run(process.execPath, [
        join(ROOT, 'node_modules/typescript/bin/tsc'),
        '--noEmit',
        '-p',
        dir,
      ])
      return (await tsc.catch((error: { stdout: string }) => error)).stdout
    }
    expect(await check(lines.join('\n'))).toBe('')
    // And it would notice.
    expect(await check(lines.join('\n').replace('"serviceName"', '"servicename"'))).toContain('servicename')
  }, 60_000)

  it('are taken by kubectl, where it is there', async () => {
    const version = await run('kubectl', ['version', '--client']).catch(() => null)
    if (!version) {
      console.warn('NOT RUN: kubectl IS NEEDED')
      return
    }
    const { stdout } = await run('kubectl', ['kustomize', FOLDER])
    const built = parseAllDocuments(stdout).map(
      (each) => each.toJS() as { kind: string; metadata: { namespace?: string } },
    )
    expect(built.map(({ kind }) => kind).sort()).toEqual(
      [...objects.map(({ kind }) => kind), 'ConfigMap'].sort(),
    )
    for (const { kind, metadata } of built)
      if (kind !== 'Namespace') expect(metadata.namespace).toBe('shardq')
    // Reads them as what they are, and writes what it has understood, without a server.
    for (const file of ['statefulset.yaml', 'create.yaml']) {
      const set = ['set', 'env', '--local', '-f', join(FOLDER, file), '-o', 'json', '--dry-run=client', 'X=y']
      const read = JSON.parse((await run('kubectl', set)).stdout) as { kind: string }
      expect(read).toMatchObject(withoutEnvironment(objects.find(({ kind }) => kind === read.kind) ?? {}))
    }
  })

  it('name one another rightly', async () => {
    const set = object<StatefulSet>('StatefulSet')
    const service = object<Service>('Service')
    const labels = set.spec?.template.metadata?.labels
    expect(set.spec?.serviceName).toBe(service.metadata?.name)
    for (const selector of [
      service.spec?.selector,
      set.spec?.selector.matchLabels,
      object<PodDisruptionBudget>('PodDisruptionBudget').spec?.selector?.matchLabels,
      object<NetworkPolicy>('NetworkPolicy').spec?.podSelector.matchLabels,
    ])
      expect(labels).toMatchObject(selector ?? { missing: '' })
    expect(service.spec).toMatchObject({ clusterIP: 'None', publishNotReadyAddresses: true })

    const { args = [] } = containerOf('Job')
    const nodes = nodeList(args.at(-1) ?? '')
    expect(nodes.map(({ host }) => host)).toEqual(
      Array.from({ length: set.spec?.replicas ?? 0 }, (_, index) => `redis-${index}.redis`),
    )
    const [generated] = kustomization.configMapGenerator
    const volumes = podOf('StatefulSet').volumes ?? []
    expect(volumes.find(({ name }) => name === 'config')?.configMap?.name).toBe(generated?.name)
    for (const kind of ['StatefulSet', 'Job'] as const) {
      const names = [...(podOf(kind).volumes ?? []).map(({ name }) => name), 'data']
      for (const { name } of containerOf(kind).volumeMounts ?? []) expect(names).toContain(name)
      expect(JSON.stringify(podOf(kind))).toContain('"secretName":"redis-password"')
    }
    const job = object<Job>('Job').spec?.template.metadata?.labels ?? {}
    const froms = object<NetworkPolicy>('NetworkPolicy').spec?.ingress?.[0]?.from ?? []
    expect(froms.map(({ podSelector }) => podSelector?.matchLabels)).toEqual([labels, job])
  })

  it('set nodes up as compose.yaml does', async () => {
    const settings = (conf: string) => conf.split('\n').filter((line) => /^[a-z]/.test(line))
    expect(settings(await text('node.conf'))).toEqual(
      settings(await readFile(join(DEPLOY, 'redis/node.conf'), 'utf8')),
    )
  })

  it('end no node that is loading, forks, or is merely slow', () => {
    const { startupProbe, livenessProbe, readinessProbe } = containerOf('StatefulSet')
    const patienceS = ({ periodSeconds = 10, failureThreshold = 3 }: Probe = {}) =>
      periodSeconds * failureThreshold
    expect(patienceS(startupProbe)).toBeGreaterThanOrEqual(3_600)
    expect(patienceS(livenessProbe)).toBeGreaterThanOrEqual(120)
    expect(livenessProbe?.exec?.command?.at(-1)).toBe('alive')
    expect(readinessProbe?.exec?.command?.at(-1)).toBe('ready')
  })
})

function withoutEnvironment(manifest: object): object {
  return JSON.parse(
    JSON.stringify(manifest, (key, value: unknown) => (key === 'env' ? undefined : value)),
  ) as object
}

describe('probe.sh', () => {
  const probe = (what: string, { host, port }: Address, env: NodeJS.ProcessEnv = {}) =>
    run('sh', [join(FOLDER, 'probe.sh'), what], {
      env: { ...process.env, PASSWORD_FILE: '/nonexistent', HOST: host, PORT: String(port), ...env },
    }).then(
      () => true,
      () => false,
    )

  it('calls a node alive that answers, and ready one whose cluster serves', async () => {
    const [member] = inject('cluster').nodes as [Address]
    const [[lonely], [locked]] = (await Promise.all([
      bareServers(1),
      bareServers(1, { password: 'wonderland' }),
    ])) as [[Address], [Address]]
    const [port = 0] = await freePorts(1)
    const nobody = { host: '127.0.0.1', port }
    expect(await Promise.all([member, lonely, locked, nobody].map((node) => probe('alive', node)))).toEqual([
      ...[true, true, true, false],
    ])
    expect(await Promise.all([member, lonely, locked, nobody].map((node) => probe('ready', node)))).toEqual([
      ...[true, false, false, false],
    ])
    const file = join(await tempDir(), 'password')
    await writeFile(file, 'wonderland')
    expect(await probe('alive', locked, { PASSWORD_FILE: file })).toBe(true)
  })

  it('is where the containers look for it', () => {
    const [generated] = kustomization.configMapGenerator
    const { command, livenessProbe } = containerOf('StatefulSet')
    for (const words of [command, livenessProbe?.exec?.command]) {
      const path = words?.find((word) => word.startsWith('/etc/redis/')) ?? ''
      expect(generated?.files).toContain(path.replace('/etc/redis/', ''))
    }
  })
})
