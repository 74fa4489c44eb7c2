import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { InvalidOptionError } from '../../errors.js'
import { HOST } from '../ports.js'
import type { NodeTls } from './access.js'
import { CERTIFICATE_FILES } from './certificates.js'

/**
 * Looks at certificates that somebody brings, before any server is started with them; a server that cannot use its own
 * says so in a log, and one whose certificate has another name says nothing at all.
 * @throws InvalidOptionError naming the file and what is wrong with it
 */
export async function checkGiven({ dir, authClients }: NodeTls, option: string): Promise<void> {
  const { ca, node, client } = CERTIFICATE_FILES
  const fail = (file: string, problem: string): never => {
    throw new InvalidOptionError(option, `${join(dir, file)} ${problem}`)
  }
  const read = (file: string) =>
    readFile(join(dir, file), 'utf8').catch((error: NodeJS.ErrnoException) =>
      fail(file, `cannot be read (${error.code})`),
    )
  const certificateIn = async (file: string) => {
    const text = await read(file)
    try {
      return new X509Certificate(text)
    } catch {
      return fail(file, 'is no certificate in PEM')
    }
  }
  async function pairIn({ certificate: file, key }: { certificate: string; key: string }) {
    const [certificate, keyText] = await Promise.all([certificateIn(file), read(key)])
    if (Date.parse(certificate.validTo) < Date.now()) fail(file, `has run out (${certificate.validTo})`)
    if (!fits(certificate, keyText)) fail(key, `is not the key of ${file}, or is itself under a password`)
    return certificate
  }
  await certificateIn(ca.certificate)
  const certificate = await pairIn(node)
  if (certificate.checkIP(HOST) === undefined) {
    fail(node.certificate, `is not for ${HOST}, where the nodes are; it is for ${certificate.subjectAltName}`)
  }
  if (authClients) await pairIn(client)
}

function fits(certificate: X509Certificate, key: string): boolean {
  try {
    return certificate.checkPrivateKey(createPrivateKey(key))
  } catch {
    return false
  }
}
