import { generateKeyPair, randomBytes, X509Certificate } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { InvalidOptionError } from '../../errors.js'
import { isThere } from '../is-there.js'
import { makeFolderOf } from '../make-folder.js'

/** What a folder of certificates holds; the same names where somebody brings their own. */
export const CERTIFICATE_FILES = {
  ca: { certificate: 'ca.crt', key: 'ca.key' },
  /** For servers, and for what they are to each other: clients. */
  node: { certificate: 'node.crt', key: 'node.key' },
  client: { certificate: 'client.crt', key: 'client.key' },
} as const

/** Names of this machine to itself; the nodes of a local cluster have no other. */
export const LOOPBACK_HOSTS: readonly string[] = ['127.0.0.1', '::1', 'localhost']

export interface CertificatesOptions {
  /** The folder; made where it is not there. Files in it are never written over. */
  readonly to: string
  /** Host names and addresses by which nodes are reached, besides 127.0.0.1, ::1 and localhost. */
  readonly hosts?: readonly string[]
  /** How long the certificates of nodes and clients hold, in days. Default 365; the authority's holds for 10 years. */
  readonly days?: number
  /** A folder with an authority that is there (`ca.crt` and `ca.key`), so that clients need no other. Default: a new one. */
  readonly ca?: string
}

export interface CertificateSet {
  /** Absolute. */
  readonly dir: string
  readonly files: readonly string[]
  /** All names that the node's certificate is for. */
  readonly hosts: readonly string[]
  /** When the node's certificate runs out, in ms since 1970. */
  readonly endsMs: number
}

const DAY_MS = 86_400_000
/** Clocks differ; a certificate from the future is refused. */
const SINCE_MS = 3_600_000
const AUTHORITY_DAYS = 3_650
const KEY_BITS = 2048

/**
 * Makes certificates for development: an authority, and signed by it one for all nodes and one for clients. Every file
 * gets mode 0600.
 * @throws InvalidOptionError when a file of that name is there already, or `ca` has no authority
 */
export async function makeCertificates(options: CertificatesOptions): Promise<CertificateSet> {
  const { days = 365 } = options
  const dir = resolve(options.to)
  const hosts = [...new Set([...LOOPBACK_HOSTS, ...(options.hosts ?? [])])]
  if (!Number.isInteger(days) || days < 1 || days > AUTHORITY_DAYS)
    throw new InvalidOptionError('days', `expected 1 to ${AUTHORITY_DAYS}, and not ${days}`)
  const wrong = hosts.find((host) => !isIP(host) && !/^(\*\.)?[\w-]+(\.[\w-]+)*$/.test(host))
  if (wrong !== undefined)
    throw new InvalidOptionError('hosts', `${JSON.stringify(wrong)} is no host name or address`)
  const { ca, node, client } = CERTIFICATE_FILES
  const names = [node, client, ...(options.ca === undefined ? [ca] : [])].flatMap(({ certificate, key }) => [
    certificate,
    key,
  ])
  await refuseToOverwrite(dir, options.ca === undefined ? names : [ca.certificate, ...names])

  const forge = await loadForge()
  const authority =
    options.ca === undefined ? await newAuthority(forge) : await readAuthority(forge, options.ca)
  const issue = (commonName: string, extensions: Extension[]) =>
    issueFrom(forge, authority, { commonName, days, extensions })
  const [forNode, forClient] = await Promise.all([
    issue('shardq node', [
      { name: 'keyUsage', digitalSignature: true, keyEncipherment: true, critical: true },
      { name: 'extKeyUsage', serverAuth: true, clientAuth: true },
      { name: 'subjectAltName', altNames: hosts.map(altName) },
    ]),
    issue('shardq client', [
      { name: 'keyUsage', digitalSignature: true, critical: true },
      { name: 'extKeyUsage', clientAuth: true },
    ]),
  ])
  const written: Record<string, string> = {
    [ca.certificate]: authority.pem,
    ...(options.ca === undefined ? { [ca.key]: authority.keyPem } : {}),
    [node.certificate]: forNode.pem,
    [node.key]: forNode.keyPem,
    [client.certificate]: forClient.pem,
    [client.key]: forClient.keyPem,
  }
  await makeFolderOf('to', dir)
  for (const [name, text] of Object.entries(written)) {
    await writeFile(join(dir, name), text, { mode: 0o600, flag: 'wx' })
  }
  const endsMs = Date.parse(new X509Certificate(forNode.pem).validTo)
  return { dir, files: Object.keys(written), hosts, endsMs }
}

async function refuseToOverwrite(dir: string, names: readonly string[]): Promise<void> {
  for (const name of names) {
    if (await isThere(join(dir, name)))
      throw new InvalidOptionError('to', `${join(dir, name)} is there already; nothing was written`)
  }
}

type Forge = typeof import('node-forge')
type CertificateField = import('node-forge').pki.CertificateField
type Extension = { readonly name: string } & Readonly<Record<string, unknown>>

interface Issued {
  readonly pem: string
  readonly keyPem: string
}

interface Authority extends Issued {
  readonly subject: CertificateField[]
}

/** Not before it is needed: it is large, and hardly anybody needs it. */
async function loadForge(): Promise<Forge> {
  return (await import('node-forge')).default
}

async function newAuthority(forge: Forge): Promise<Authority> {
  // A name of its own: of two authorities of one name, the wrong one would be held for the signer.
  const name = `shardq development ${randomBytes(4).toString('hex')}`
  const extensions = [
    { name: 'basicConstraints', cA: true, critical: true },
    { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
  ]
  const issued = await issueFrom(forge, null, { commonName: name, days: AUTHORITY_DAYS, extensions })
  return { subject: [{ name: 'commonName', value: name }], ...issued }
}

async function readAuthority(forge: Forge, dir: string): Promise<Authority> {
  const { certificate, key } = CERTIFICATE_FILES.ca
  const read = (name: string) =>
    readFile(join(dir, name), 'utf8').catch((error: NodeJS.ErrnoException) => {
      throw new InvalidOptionError('ca', `cannot read ${join(dir, name)} (${error.code})`, { cause: error })
    })
  const [pem, keyPem] = await Promise.all([read(certificate), read(key)])
  try {
    forge.pki.privateKeyFromPem(keyPem)
    return { subject: forge.pki.certificateFromPem(pem).subject.attributes, pem, keyPem }
  } catch (error) {
    throw new InvalidOptionError('ca', `${dir} has no authority with an RSA key in PEM`, { cause: error })
  }
}

/** Signs for a new key; without an authority, with that key itself. Node makes the key: forge would take seconds. */
async function issueFrom(
  forge: Forge,
  authority: Authority | null,
  about: { commonName: string; days: number; extensions: readonly Extension[] },
): Promise<Issued> {
  const { publicKey, privateKey: keyPem } = await promisify(generateKeyPair)('rsa', {
    modulusLength: KEY_BITS,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  })
  const certificate = forge.pki.createCertificate()
  certificate.publicKey = forge.pki.publicKeyFromPem(publicKey)
  // Positive, and another one each time, as the standard wants it (RFC 5280, 4.1.2.2).
  certificate.serialNumber = `01${randomBytes(15).toString('hex')}`
  certificate.validity.notBefore = new Date(Date.now() - SINCE_MS)
  certificate.validity.notAfter = new Date(Date.now() + about.days * DAY_MS)
  const subject = [{ name: 'commonName', value: about.commonName }]
  certificate.setSubject(subject)
  certificate.setIssuer(authority?.subject ?? subject)
  certificate.setExtensions([...about.extensions, { name: 'subjectKeyIdentifier' }])
  const signer = forge.pki.privateKeyFromPem(authority?.keyPem ?? keyPem)
  certificate.sign(signer, forge.md.sha256.create())
  return { pem: forge.pki.certificateToPem(certificate), keyPem }
}

/** In the numbers that the standard has for them (RFC 5280, 4.2.1.6). */
const altName = (host: string) => (isIP(host) ? { type: 7, ip: host } : { type: 2, value: host })
