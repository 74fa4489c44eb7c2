import type { Symptom } from './symptom.js'

/** TLS that does not come about: in shardq's words, in Node's and OpenSSL's codes, and as redis-cli and servers put it. */
export const FROM_TLS = {
  'tls-on-one-side': {
    pattern:
      /TlsError(?!.*certificate)|does not speak TLS|speaks TLS alone|wrong.version.number|ERR_SSL_(WRONG_VERSION|PACKET_LENGTH)|do not agree on TLS/i,
    means: () => 'one side speaks TLS, and the other does not, or not the same',
    why: 'A server speaks TLS on its tls-port alone, and plain text on its port alone; what is asked of the wrong one hangs, or is hung up on.',
    mend: ['redis-cli -h HOST -p PORT --tls PING', 'export SHARDQ_REDIS_TLS_CA_FILE=/path/to/ca.crt'],
    checks: ['tls-mismatch', 'hangs-up'],
  },
  'unknown-authority': {
    pattern:
      /of an authority that is not trusted|self.signed.cert|unable to (get|verify).*(issuer|first|leaf).*cert|UNABLE_TO_(GET_ISSUER|VERIFY_LEAF)|certificate verify failed/i,
    means: () => 'the certificate of the server was signed by nobody that is trusted here',
    why: 'Its authority is one of your own, and its certificate (ca.crt) was not named; or the server is not the one that is meant. Turning verification off would let anybody pass for it.',
    mend: ['export SHARDQ_REDIS_TLS_CA_FILE=/path/to/ca.crt'],
    checks: ['certificate-untrusted'],
  },
  'certificate-expired': {
    pattern:
      /certificate that is not valid now|certificate (has expired|is not yet valid)|CERT_(HAS_EXPIRED|NOT_YET)/i,
    means: () => 'a certificate is not valid at this time',
    why: 'It has run out, or a clock is wrong. A server reads a new one with CONFIG SET, or at its start.',
    mend: [
      'date',
      'openssl x509 -noout -enddate -in /path/to/node.crt',
      'redis-cli -h HOST -p PORT --tls CONFIG SET tls-cert-file /path/to/node.crt tls-key-file /path/to/node.key',
    ],
    checks: ['certificate-expired', 'certificate-ends', 'clock-differs'],
  },
  'certificate-of-another-host': {
    pattern: /certificate for other names|does not match certificate|ALTNAME_INVALID|hostname mismatch/i,
    means: () => 'the certificate is for other names and addresses than the one that was connected to',
    why: 'A cluster sends its clients to the addresses that its nodes announce, so the certificate needs all of these; or redis.tls.servername names one that it has.',
    mend: [
      'openssl x509 -noout -ext subjectAltName -in /path/to/node.crt',
      'shardq cluster certificates --to tls --host HOST',
    ],
    checks: ['certificate-untrusted', 'announce-address'],
  },
  'client-certificate': {
    pattern:
      /wants a client certificate|ALERT_(CERTIFICATE|BAD_CERTIFICATE|UNKNOWN_CA|DECRYPT_ERROR)|alert (certificate required|bad certificate|unknown ca|decrypt error)|peer did not return a certificate/i,
    means: () => 'the server wants a certificate of its clients, and got none, or one that it does not trust',
    why: 'tls-auth-clients is yes there. The certificate has to be signed by the authority that the server knows (tls-ca-cert-file).',
    mend: [
      'export SHARDQ_REDIS_TLS_CERT_FILE=/path/to/client.crt',
      'export SHARDQ_REDIS_TLS_KEY_FILE=/path/to/client.key',
    ],
    checks: ['client-certificate'],
  },
} satisfies Record<string, Symptom>
