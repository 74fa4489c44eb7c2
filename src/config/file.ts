import { access, readFile } from 'node:fs/promises'
import { LineCounter, parseDocument } from 'yaml'
import { ConfigError } from '../errors.js'
import type { Environment } from './environment.js'

const DEFAULT_FILES = ['config/redis.yaml', 'shardq.yaml'] as const

/** A file that was asked for by name need not exist yet to be returned: reading it then says that it is missing. */
export async function findConfigFile(path: string | undefined, env: Environment): Promise<string | null> {
  const named = path ?? (env.SHARDQ_CONFIG || undefined)
  if (named !== undefined) return named
  for (const file of DEFAULT_FILES) {
    if (
      await access(file).then(
        () => true,
        () => false,
      )
    )
      return file
  }
  return null
}

/**
 * Parses a YAML file into plain values.
 * @throws ConfigError when it cannot be read, or with the line and column of every syntax error
 */
export async function readYaml(file: string): Promise<unknown> {
  const text = await readFile(file, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    const message = cause.code === 'ENOENT' ? 'no such file' : `cannot be read (${cause.code})`
    throw new ConfigError(file, [{ path: 'file', message }], { cause })
  })
  const lines = new LineCounter()
  // Pretty errors quote the line at fault, which may be the one with the password.
  const document = parseDocument(text, { prettyErrors: false, lineCounter: lines })
  if (document.errors.length > 0) {
    throw new ConfigError(
      file,
      document.errors.map((error) => {
        const { line, col } = lines.linePos(error.pos[0])
        return { path: `line ${line}, column ${col}`, message: withoutQuote(error.message) }
      }),
    )
  }
  try {
    return document.toJS() ?? {}
  } catch (cause) {
    // An alias without its anchor, or one that expands beyond all measure.
    throw new ConfigError(file, [{ path: 'file', message: withoutQuote((cause as Error).message) }], {
      cause,
    })
  }
}

/** Some messages of the parser end in what it stumbled over, which may be a password: `Unexpected scalar: "hunter2"`. */
const withoutQuote = (message: string) => message.split(': ', 1).join('')
