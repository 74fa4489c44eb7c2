import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import forge from 'node-forge'

/** Makes the node's certificate of a folder one that ran out yesterday, signed by that authority. */
export async function letExpire(dir: string, authority: string): Promise<void> {
  const file = join(dir, 'node.crt')
  const certificate = forge.pki.certificateFromPem(await readFile(file, 'utf8'))
  certificate.validity.notBefore = new Date(Date.now() - 2 * 86_400_000)
  certificate.validity.notAfter = new Date(Date.now() - 86_400_000)
  const key = forge.pki.privateKeyFromPem(await readFile(join(authority, 'ca.key'), 'utf8'))
  certificate.sign(key, forge.md.sha256.create())
  await writeFile(file, forge.pki.certificateToPem(certificate))
}
