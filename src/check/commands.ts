import { redisCli } from '../cluster/redis-cli.js'
import { shellWord } from '../shell.js'
import type { Place } from './check.js'

/** The commands that mend things, in one place, so that all of them are written alike. */

export const FIX = 'shardq cluster fix'

export const cli = ({ host, port, tls }: Place, command: string) => redisCli({ host, port }, { tls }, command)

const first = (nodes: readonly Place[], of: (node: Place) => readonly string[]) =>
  nodes.slice(0, 1).flatMap(of)

/** A setting, now and after a restart; CONFIG SET alone is forgotten. On several nodes of a cluster: on all of them. */
export const setting =
  (name: string, value: string) =>
  (nodes: readonly Place[]): readonly string[] =>
    configured(nodes, `CONFIG SET ${name} ${value}`)

/** As `setting`, with a secret that is read from the environment and appears in no list of processes. */
export const secretSetting = (name: string) => (nodes: readonly Place[]) =>
  nodes.flatMap((node) => [
    `printf %s "$REDISCLI_AUTH" | ${cli(node, `-x CONFIG SET ${name}`)}`,
    cli(node, 'CONFIG REWRITE'),
  ])

function configured(nodes: readonly Place[], command: string): readonly string[] {
  const [one] = nodes
  if (one?.cluster && nodes.length > 1) {
    const everywhere = `redis-cli ${one.tls ? '--tls ' : ''}--cluster call ${one.host}:${one.port}`
    return [`${everywhere} ${command}`, `${everywhere} CONFIG REWRITE`]
  }
  return nodes.flatMap((node) => [cli(node, command), cli(node, 'CONFIG REWRITE')])
}

/** The same redis-cli command to each node. */
export const toEach = (command: string) => (nodes: readonly Place[]) =>
  nodes.map((node) => cli(node, command))

/** A redis-cli command to the first of the nodes. */
export const toFirst = (command: string) => (nodes: readonly Place[]) =>
  first(nodes, (node) => [cli(node, command)])

export const start = (nodes: readonly Place[]) => [...new Set(nodes.map((node) => node.start))]
export const resume = (nodes: readonly Place[]) => [...new Set(nodes.map((node) => node.resume))]
export const fix = () => [FIX]
/** A command that does not depend on the node. */
export const type =
  (...commands: readonly string[]) =>
  () =>
    commands

const LOOPBACK = /^(127\.|localhost$|::1$)/

/** The command, typed on the node's own machine. */
export const onHost = (host: string, command: string) =>
  LOOPBACK.test(host) ? command : `ssh ${shellWord(host)} ${shellWord(command)}`

export const onEachHost = (command: string) => (nodes: readonly Place[]) => [
  ...new Set(nodes.map(({ host }) => onHost(host, command))),
]
