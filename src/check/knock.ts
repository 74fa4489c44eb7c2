import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { type Address, type LinkOptions, reachedAt } from '../cluster/link.js'

/** What stands behind an address that did not answer as a node. */
export type Knock =
  /** The name means nothing to this machine. */
  | { readonly behind: 'unknown host' }
  /** The machine is there, and says that nothing has the port. */
  | { readonly behind: 'nothing' }
  /** Nobody says anything: machine down, wrong address, firewall. */
  | { readonly behind: 'nobody' }
  /** The connection is taken, and nothing is answered. */
  | { readonly behind: 'silence' }
  /** The connection is taken and ended. */
  | { readonly behind: 'hang-up' }
  /** The first line that was answered. */
  | { readonly behind: 'answer'; readonly text: string }

const MOST_BYTES = 300

/**
 * Connects, says PING, and listens to what is said. The Redis client keeps back what a server says before it was asked,
 * and what no Redis would say; and both of these explain most.
 */
export async function knock(address: Address, options: LinkOptions = {}): Promise<Knock> {
  const { timeoutMs = 1000, tls } = options
  const { host, port } = reachedAt(address, options)
  return new Promise((resolve) => {
    const socket: Socket = tls
      ? connectTls({ host, port, ...(tls === true ? {} : tls) })
      : connectTcp({ host, port })
    let connected = false
    let text = ''
    const answer = (knocked: Knock) => {
      clearTimeout(timer)
      socket.destroy()
      resolve(knocked)
    }
    const whatWasSaid = (otherwise: Knock): Knock =>
      text === '' ? otherwise : { behind: 'answer', text: text.split(/\r?\n/, 1)[0] ?? '' }
    const timer = setTimeout(
      () => answer(connected ? whatWasSaid({ behind: 'silence' }) : { behind: 'nobody' }),
      timeoutMs,
    )
    socket.once(tls ? 'secureConnect' : 'connect', () => {
      connected = true
      socket.write('PING\r\n')
    })
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
      if (text.includes('\n') || text.length > MOST_BYTES) answer(whatWasSaid({ behind: 'hang-up' }))
    })
    socket.on('error', (error: NodeJS.ErrnoException) => answer(whatWasSaid(byCode(error.code, connected))))
    socket.on('close', () => answer(whatWasSaid({ behind: 'hang-up' })))
  })
}

function byCode(code: string | undefined, connected: boolean): Knock {
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return { behind: 'unknown host' }
  if (code === 'ECONNREFUSED') return { behind: 'nothing' }
  const noWay = ['EHOSTUNREACH', 'ENETUNREACH', 'EHOSTDOWN', 'ETIMEDOUT', 'EADDRNOTAVAIL']
  if (!connected && noWay.includes(code ?? '')) return { behind: 'nobody' }
  return { behind: 'hang-up' }
}
