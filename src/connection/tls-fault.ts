import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { TlsError, type TlsFault } from '../errors.js'
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
  const code = String((error as NodeJS.ErrnoException | undefined)?.code ?? '')
  const fault = BY_CODE.find(([pattern]) => pattern.test(code))?.[1]
  return fault && new TlsError(node, fault, { cause: error as Error })
}

/** Bytes of an answer in which to look for the first word of a Redis. */
const ENOUGH = 16

/**
 * A Redis without TLS takes a TLS greeting for the beginning of a line, and waits for its end for ever. So, when a
 * handshake is overdue, it is asked PING in plain words.
 * @returns whether it answers these
 */
export function speaksPlain(address: NodeAddress, signal: AbortSignal): Promise<boolean> {
  return listen(connectTcp({ ...address }), signal, (socket, tell) => {
    let said = ''
    socket.once('connect', () => socket.write('PING\r\n'))
    socket.on('data', (chunk: Buffer) => {
      said += chunk.toString('latin1')
      if (/^[+-]/.test(said)) tell(true)
      else if (said.length > ENOUGH) tell(false)
    })
  })
}

/** Whether a server that hung up on plain words takes a TLS greeting; whose certificate it has is not looked at. */
export function speaksTls(address: NodeAddress, signal: AbortSignal): Promise<boolean> {
  return listen(connectTls({ ...address, rejectUnauthorized: false }), signal, (socket, tell) => {
    socket.once('secureConnect', () => tell(true))
    socket.on('error', (error: NodeJS.ErrnoException) => tell(/ALERT/.test(error.code ?? '')))
  })
}

function listen(
  socket: Socket,
  signal: AbortSignal,
  use: (socket: Socket, tell: (verdict: boolean) => void) => void,
): Promise<boolean> {
  return new Promise((resolve) => {
    const tell = (verdict: boolean) => {
      signal.removeEventListener('abort', no)
      socket.destroy()
      resolve(verdict)
    }
    const no = () => tell(false)
    use(socket, tell)
    socket.on('error', no)
    socket.on('close', no)
    if (signal.aborted) no()
    else signal.addEventListener('abort', no, { once: true })
  })
}

/**
 * Runs what opens a connection, and says what is the matter where one side speaks TLS and the other does not. It takes no
 * longer than `opening` does by itself, but for the moment in which a server that hung up is asked whether it speaks TLS.
 * @throws TlsError, or what `opening` failed with
 */
export async function tellingTls<T>(
  { address, tls, timeoutMs }: { address: NodeAddress; tls: boolean; timeoutMs: number },
  opening: () => Promise<T>,
): Promise<T> {
  const name = `${address.host}:${address.port}`
  const over = new AbortController()
  const overdue = new Promise<never>((_, reject) => {
    if (!tls) return
    const timer = setTimeout(async () => {
      if (await speaksPlain(address, over.signal)) reject(new TlsError(name, 'not-tls'))
    }, timeoutMs / 2)
    over.signal.addEventListener('abort', () => clearTimeout(timer), { once: true })
  })
  try {
    return await Promise.race([opening(), overdue])
  } catch (error) {
    if (!tls && (await hungUpForTls(address, error, timeoutMs))) {
      throw new TlsError(name, 'tls-only', { cause: error as Error })
    }
    throw tlsErrorOf(name, error) ?? error
  } finally {
    over.abort()
  }
}

/** Whether a connection without TLS was ended by a server that wants it. */
export async function hungUpForTls(
  address: NodeAddress,
  error: unknown,
  timeoutMs: number,
): Promise<boolean> {
  const { code, message } = error as NodeJS.ErrnoException
  const hungUp = code === 'ECONNRESET' || code === 'EPIPE' || message === 'Connection is closed.'
  return hungUp && speaksTls(address, AbortSignal.timeout(timeoutMs))
}
