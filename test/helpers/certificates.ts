import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import forge from 'node-forge'
import { makeCertificates } from '../../src/cluster.js'

/** A folder of certificates, and in it `named.crt` for the nodes, for this name alone and for no address: what hosted services have. */
export async function certificatesFor(hostname: string, dir: string): Promise<void> {
  await makeCertificates({ to: dir })
  const certificate = forge.pki.certificateFromPem(await readFile(join(dir, 'node.crt'), 'utf8'))
  certificate.setExtensions([{ name: 'subjectAltName', altNames: [{ type: 2, value: hostname }] }])
  const key = forge.pki.privateKeyFromPem(await readFile(join(dir, 'ca.key'), 'utf8'))
  certificate.sign(key, forge.md.sha256.create())
  await writeFile(join(dir, 'named.crt'), forge.pki.certificateToPem(certificate))
}
