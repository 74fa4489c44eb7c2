import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls, type ConnectionOptions as TlsOptions } from 'node:tls'
import { TlsError, type TlsFault } from '../errors.js'
import { addressText } from './host.js'
import type { NodeAddress } from './options.js'

/** What the runtime and OpenSSL call it, in the order in which they are looked up. */
const BY_CODE: readonly (readonly [code: RegExp, fault: TlsFault])[] = [
  [/^(CERT_HAS_EXPIRED|CERT_NOT_YET_VALID)$/, 'expired'],
  [/^ERR_TLS_CERT_ALTNAME_INVALID$/, 'wrong-host'],
  [/^ERR_SSL_\w*ALERT_(\w*CERTIFICATE|UNKNOWN_CA|DECRYPT_ERROR|ACCESS_DENIED)/, 'client-certificate'],
  [/^ERR_SSL_(WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|RECORD_LAYER_FAILURE)$/, 'not-tls'],
  [/^(DEPTH_ZERO_)?SELF_SIGNED_CERT|^UNABLE_TO_(GET_ISSUER_CERT|VERIFY_LEAF)/, 'unknown-authority'],
  [/^(CERT_SIGNATURE_FAILURE|CERT_UNTRUSTED|CERT_REJECTED|INVALID_CA|INVALID_PURPOSE)$/, 'unknown-authority'],
  [/^(ERR_SSL_|ERR_OSSL_|ERR_TLS_|EPROTO$)/, 'handshake'],
]

/** Reads why TLS failed; undefined where it was something else, such as a connection that was refused. */
export function tlsErrorOf(node: string, error: unknown): TlsError | undefined {
  if (error instanceof TlsError) return error
  const code = codeOf(error)
  const fault = BY_CODE.find(([pattern]) => pattern.test(code))?.[1]
  return fault && new TlsError(node, fault, { cause: error as Error })
}

/** What the runtime calls it, of the error or of what it was caused by. */
function codeOf(error: unknown): string {
  const { code, cause } = (error ?? {}) as NodeJS.ErrnoException
  return code ?? (cause === undefined ? '' : codeOf(cause))
}

/** The other side has ended the connection, and nothing tells why. */
function hasHungUp(error: unknown): boolean {
  const { message, cause } = error as Error
  return (
    /^(ECONNRESET|EPIPE)$/.test(codeOf(error)) ||
    message === 'Connection is closed.' ||
    (cause instanceof Error && hasHungUp(cause))
  )
}

/** A server, and how it is talked to. */
export interface Party {
  readonly address: NodeAddress
  /** Undefined: in plain text. */
  readonly tls: TlsOptions | undefined
  readonly timeoutMs: number
}

const placeOf = ({ host, port }: NodeAddress) => ({ host, port })

const nameOf = ({ address }: Party) => addressText(address)

/**
 * Runs what opens a connection, and says what is the matter where TLS is. It takes no longer than `opening` does by
 * itself, but for the moment in which a server that hung up is asked why.
 * @throws TlsError, or what `opening` failed with
 */
export async function tellingTls<T>(party: Party, opening: () => Promise<T>): Promise<T> {
  const over = new AbortController()
  const overdue = new Promise<never>((_, reject) => {
    if (party.tls === undefined) return
    const timer = setTimeout(async () => {
      if (await speaksPlain(party, over.signal)) reject(new TlsError(nameOf(party), 'not-tls'))
    }, party.timeoutMs / 2)
    over.signal.addEventListener('abort', () => clearTimeout(timer), { once: true })
  })
  try {
    return await Promise.race([opening(), overdue])
  } catch (error) {
    throw (await tlsBehind(party, error)) ?? error
  } finally {
    over.abort()
  }
}

/**
 * What TLS has to do with a failure of a connection on which nothing was answered yet: the server may hang up on one who does
 * not speak TLS, or whose certificate it does not trust, and what it says of that may be lost on the way.
 */
export async function tlsBehind(party: Party, error: unknown): Promise<TlsError | undefined> {
  const known = tlsErrorOf(nameOf(party), error)
  if (known || !hasHungUp(error)) return known
  const signal = AbortSignal.timeout(party.timeoutMs)
  if (party.tls !== undefined) return refusalOf(party, signal)
  return (await speaksTls(party, signal))
    ? new TlsError(nameOf(party), 'tls-only', { cause: error as Error })
    : undefined
}

/** Bytes of an answer in which to look for the first word of a Redis. */
const ENOUGH = 16

/**
 * Whether it answers PING in plain words. A Redis without TLS takes a TLS greeting for the beginning of a line, and waits
 * for its end for ever; so this is asked when a handshake is overdue.
 */
function speaksPlain({ address }: Party, signal: AbortSignal): Promise<boolean> {
  return listen(connectTcp(placeOf(address)), signal, false, (socket, tell) => {
    let said = ''
    socket.once('connect', () => socket.write('PING\r\n'))
    socket.on('data', (chunk: Buffer) => {
      said += chunk.toString('latin1')
      if (/^[+-]/.test(said)) tell(true)
      else if (said.length > ENOUGH) tell(false)
    })
  })
}

/** Whether it takes a TLS greeting; whose certificate it has is not looked at. */
function speaksTls({ address }: Party, signal: AbortSignal): Promise<boolean> {
  return listen(
    connectTls({ ...placeOf(address), rejectUnauthorized: false }),
    signal,
    false,
    (socket, tell) => {
      socket.once('secureConnect', () => tell(true))
      socket.on('error', (error: NodeJS.ErrnoException) => tell(/ALERT/.test(error.code ?? '')))
    },
  )
}

/** What it says to our greeting. Nothing is sent after it: on what it has not read, a server that hangs up resets. */
function refusalOf(party: Party, signal: AbortSignal): Promise<TlsError | undefined> {
  const socket = connectTls({ ...party.tls, ...placeOf(party.address) })
  return listen<TlsError | undefined>(socket, signal, undefined, (_, tell) => {
    socket.on('error', (error) => tell(tlsErrorOf(nameOf(party), error)))
    // It comes after the client's certificate has been looked at.
    socket.once('session', () => tell(undefined))
  })
}

function listen<T>(
  socket: Socket,
  signal: AbortSignal,
  otherwise: T,
  use: (socket: Socket, tell: (verdict: T) => void) => void,
): Promise<T> {
  return new Promise((resolve) => {
    const tell = (verdict: T) => {
      signal.removeEventListener('abort', no)
      socket.destroy()
      resolve(verdict)
    }
    const no = () => tell(otherwise)
    use(socket, tell)
    socket.on('error', no)
    socket.on('close', no)
    if (signal.aborted) no()
    else signal.addEventListener('abort', no, { once: true })
  })
}
