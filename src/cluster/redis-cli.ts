import type { Address, LinkOptions } from './link.js'

/** What to type to say something to a node by hand; the password and certificates are added by whoever types it. */
export const redisCli = ({ host, port }: Address, { tls }: Pick<LinkOptions, 'tls'>, command = '') =>
  ['redis-cli', '-h', host, '-p', port, ...(tls ? ['--tls'] : []), command].join(' ').trim()
