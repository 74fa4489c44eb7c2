import { resolve } from 'node:path'
import { InvalidOptionError } from '../../errors.js'
import type { Manifest } from '../data-dir.js'
import type { Settings } from '../node-config.js'
import type { TlsUpOptions, UpOptions } from '../up-options.js'
import { OWN_TLS_DIR } from './access.js'
import { checkPassword } from './password.js'

type Asked = Pick<UpOptions, 'password' | 'tls' | 'settings'>

/**
 * The password that is asked for, by its own option or as the setting `requirepass`; `true` where any will do.
 * @throws InvalidOptionError when Redis could not take it, or when two are given, for one of them would be by half
 */
export function askedPassword({ password, settings = {} }: Asked): string | true | undefined {
  const set = settingOf(settings, 'requirepass')
  const asked = password ?? set
  if (set !== undefined && set !== asked)
    throw new InvalidOptionError('settings.requirepass', 'differs from password')
  const masterauth = settingOf(settings, 'masterauth')
  if (masterauth !== undefined && masterauth !== asked) {
    const problem = 'is what nodes say to each other, and so has to be the password itself; leave it out'
    throw new InvalidOptionError('settings.masterauth', problem)
  }
  if (typeof asked === 'string') checkPassword(asked, 'password')
  return asked
}

const SECRETS = ['requirepass', 'masterauth']

/** The settings as the manifest may have them. */
export function withoutSecrets(settings: Settings = {}): Settings {
  return Object.fromEntries(
    Object.entries(settings).filter(([name]) => !SECRETS.includes(name.toLowerCase())),
  )
}

function settingOf(settings: Settings, wanted: string): string | undefined {
  const [, value] = Object.entries(settings).find(([name]) => name.toLowerCase() === wanted) ?? []
  return value || undefined
}

/** TLS as the manifest tells of it. @throws InvalidOptionError where it would let in anybody */
export function askedTls(options: Asked): Manifest['tls'] {
  const asked = tlsOptions(options)
  if (asked === undefined) return undefined
  const { dir, authClients = true } = asked
  if (!authClients && askedPassword(options) === undefined) {
    const problem =
      'without certificates of clients and without a password, anybody is let in; give a password'
    throw new InvalidOptionError('tls.authClients', problem)
  }
  return { dir: dir === undefined ? OWN_TLS_DIR : resolve(dir), authClients }
}

export const tlsOptions = ({ tls }: Asked): TlsUpOptions | undefined => (tls === true ? {} : tls || undefined)
