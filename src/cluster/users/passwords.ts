import { randomBytes } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { InvalidOptionError } from '../../errors.js'
import { makeFolderOf } from '../make-folder.js'
import type { Account } from './account.js'

export interface PasswordSources {
  /** A file for a user, with the password on its first line. */
  readonly files?: ReadonlyMap<string, string>
  /** A folder with `NAME.password` for each user, as `keepPasswords` leaves it. */
  readonly folder?: string
  /** `SHARDQ_PASSWORD_<NAME>`, in capitals and with _ for what is no letter or digit. Default `process.env`. */
  readonly env?: NodeJS.ProcessEnv
}

/**
 * The passwords that are there, by the names of users: of a file that was named, else of the environment, else of the folder.
 * @throws InvalidOptionError for a file that cannot be read or is empty, or is of none of the users
 */
export async function readPasswords(
  accounts: readonly Account[],
  { files = new Map(), folder, env = process.env }: PasswordSources,
): Promise<Map<string, string>> {
  const unknown = [...files.keys()].find((name) => !accounts.some((each) => each.name === name))
  if (unknown !== undefined)
    throw new InvalidOptionError(
      'password-file',
      `${unknown} is none of the users; those are ${accounts.map(({ name }) => name).join(', ')}`,
    )
  const passwords = new Map<string, string>()
  for (const { name } of accounts) {
    const file = files.get(name)
    const password =
      file !== undefined
        ? await readFirstLine(file)
        : (env[variableOf(name)] ?? (folder && (await readFirstLine(fileIn(folder, name), { orNone: true }))))
    if (password) passwords.set(name, password)
  }
  return passwords
}

export const variableOf = (name: string) => `SHARDQ_PASSWORD_${name.toUpperCase().replace(/[^A-Z0-9]/g, '_')}`

/** 192 bits, of characters that need no quotes anywhere. */
export const inventPassword = () => randomBytes(24).toString('base64url')

/**
 * Writes each into a file of its own that nobody else may read.
 * @returns the files
 * @throws InvalidOptionError where one is there already, or cannot be written
 */
export async function keepPasswords(
  folder: string,
  passwords: ReadonlyMap<string, string>,
): Promise<string[]> {
  await makeFolderOf('passwords', folder)
  const files: string[] = []
  for (const [name, password] of passwords) {
    const file = fileIn(folder, name)
    await writeFile(file, `${password}\n`, { flag: 'wx', mode: 0o600 }).catch((cause: Error) => {
      throw new InvalidOptionError('passwords', `cannot write ${file}: ${cause.message}`, { cause })
    })
    files.push(file)
  }
  return files
}

const fileIn = (folder: string, name: string) => join(folder, `${name}.password`)

async function readFirstLine(file: string, { orNone = false } = {}): Promise<string | undefined> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (orNone && code === 'ENOENT') return undefined
    throw new InvalidOptionError('password-file', `cannot read ${file} (${code})`, { cause })
  }
  const [line = ''] = text.split(/\r?\n/)
  if (line === '') throw new InvalidOptionError('password-file', `the first line of ${file} is empty`)
  return line
}
