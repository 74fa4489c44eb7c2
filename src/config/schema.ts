import { readFile } from 'node:fs/promises'
import { isAbsolute, join } from 'node:path'
import { createSecureContext } from 'node:tls'
import { z } from 'zod'
import { hostProblem, IN_URLS } from '../connection/host.js'
import { isMapping } from './environment.js'
import type { Config } from './index.js'

// Every `error` says what was expected; `faults.ts` adds where, and what was there instead.

const text = (what: string) => z.string({ error: what }).min(1, { error: what })
const whole = (least: number, most: number, what: string) =>
  z.int({ error: what }).min(least, { error: what }).max(most, { error: what })

const port = whole(1, 65_535, 'expected a port (1 to 65535)')
const address = z.strictObject(
  {
    host: text('expected a host name or address').superRefine((host, context) => {
      const message = hostProblem(host)
      if (message !== undefined) context.addIssue({ code: 'custom', message })
    }),
    port,
  },
  { error: 'expected a host and a port' },
)

// Only database 0, as on a cluster.
const urlExpected = 'expected redis://host:port, or rediss://host:port for TLS, without a path'
const url = z.string({ error: urlExpected }).superRefine((value, context) => {
  if (isRedisUrl(value)) return
  const hint = value.includes('@') ? `; ${IN_URLS}` : ''
  context.addIssue({ code: 'custom', message: `${urlExpected}${hint}` })
})

function isRedisUrl(value: string): boolean {
  try {
    const { protocol, hostname, pathname, search } = new URL(value)
    return (
      /^rediss?:$/.test(protocol) &&
      hostname !== '' &&
      hostProblem(hostname) === undefined &&
      ['', '/', '/0'].includes(pathname) &&
      search === ''
    )
  } catch {
    return false
  }
}

/** The content of a certificate or key file. A relative path starts at the configuration file's folder. */
const pemFile = (folder: string) =>
  text('expected the path of a PEM file').transform(async (path, context) => {
    const text = await readFile(isAbsolute(path) ? path : join(folder, path), 'utf8').catch(
      (error: NodeJS.ErrnoException) => {
        context.addIssue({ code: 'custom', message: `expected a PEM file that can be read (${error.code})` })
        return z.NEVER
      },
    )
    // Node takes anything for an authority, and then trusts nobody.
    if (text !== z.NEVER && !text.includes('-----BEGIN ')) {
      context.addIssue({ code: 'custom', message: 'expected a PEM file, which has a line -----BEGIN ...' })
    }
    return text
  })

const tlsFiles = (folder: string) =>
  z
    .strictObject({
      caFile: pemFile(folder).exactOptional(),
      certFile: pemFile(folder).exactOptional(),
      keyFile: pemFile(folder).exactOptional(),
      servername: text('expected a host name').exactOptional(),
      rejectUnauthorized: z.boolean({ error: 'expected true or false' }).exactOptional(),
    })
    .transform(({ caFile, certFile, keyFile, ...rest }) => ({
      ...rest,
      ...(caFile === undefined ? {} : { ca: caFile }),
      ...(certFile === undefined ? {} : { cert: certFile }),
      ...(keyFile === undefined ? {} : { key: keyFile }),
    }))
    .superRefine(({ cert, key }, context) => {
      const fault = (path: string, message: string) =>
        context.addIssue({ code: 'custom', path: [path], message, input: undefined })
      if ((cert === undefined) !== (key === undefined)) {
        fault(cert === undefined ? 'certFile' : 'keyFile', 'expected certFile and keyFile, or neither')
      } else if (!isPair(cert, key)) {
        fault('keyFile', 'expected the key of certFile, without a password of its own')
      }
    })

/** Whether OpenSSL takes them; it would say so at every connection, and not which file it means. */
function isPair(cert: string | undefined, key: string | undefined): boolean {
  try {
    createSecureContext({ cert, key })
    return true
  } catch {
    return false
  }
}

/**
 * The schema for what was written. Chosen by looking at it, rather than by a union of all forms: a union answers
 * a fault with "matches none of these", and a wrong `mode` would hide every other fault.
 */
export function configSchema(written: unknown, folder: string): z.ZodType<Config> {
  const redis = isMapping(written) && isMapping(written.redis) ? written.redis : {}
  const single = redis.mode === 'single' || (redis.mode !== 'cluster' && redis.url !== undefined)
  const common = {
    username: text('expected text').exactOptional(),
    password: text('expected text (in quotes, if it is all digits)').exactOptional(),
    tls: (isMapping(redis.tls)
      ? tlsFiles(folder)
      : z.boolean({ error: 'expected true, false, or a section with caFile, certFile, keyFile' })
    ).exactOptional(),
    connectionsPerNode: whole(1, 64, 'expected a whole number from 1 to 64').exactOptional(),
    commandTimeoutMs: whole(50, 60_000, 'expected milliseconds, 50 to 60000').exactOptional(),
    connectTimeoutMs: whole(50, 600_000, 'expected milliseconds, 50 to 600000').exactOptional(),
  }
  const mode = <M extends string>(value: M) => z.literal(value, { error: 'expected cluster or single' })
  const nodesExpected = 'expected a list of at least one node, each with host and port'
  const section = { error: 'expected a section with mode and nodes, or mode and url' }
  return z.strictObject(
    {
      redis: single
        ? z.strictObject({ mode: mode('single'), url, ...common }, section)
        : z.strictObject(
            {
              mode: mode('cluster'),
              nodes: z.array(address, { error: nodesExpected }).min(1, { error: nodesExpected }),
              readFrom: z
                .enum(['master', 'replica'], { error: 'expected master or replica' })
                .exactOptional(),
              natMap: z
                .record(z.string().regex(/^.+:\d+$/, { error: 'expected host:port as the key' }), address, {
                  error: 'expected a section with entries "announced:port": { host, port }',
                })
                .exactOptional(),
              ...common,
            },
            section,
          ),
    },
    { error: 'expected a section "redis"' },
  )
}
