/** x^64 + ... of Jones, bits reversed, as two halves: the checksum that ends every RDB file. */
const POLYNOMIAL = [0x95ac9329, 0xac4bc9b5] as const

const HIGH = new Uint32Array(256)
const LOW = new Uint32Array(256)
for (let byte = 0; byte < 256; byte++) {
  let [high, low] = [0, byte]
  for (let bit = 0; bit < 8; bit++) {
    const odd = low & 1
    low = (low >>> 1) | (high << 31)
    high >>>= 1
    if (odd) {
      high ^= POLYNOMIAL[0]
      low ^= POLYNOMIAL[1]
    }
  }
  HIGH[byte] = high
  LOW[byte] = low
}

/** CRC-64/Redis over bytes that come piece by piece. In halves of 32 bits, since BigInt would cost twenty times as much. */
export class Crc64 {
  #high = 0
  #low = 0

  update(bytes: Uint8Array): void {
    let high = this.#high
    let low = this.#low
    for (let i = 0; i < bytes.length; i++) {
      const index = (low ^ (bytes[i] as number)) & 0xff
      low = ((low >>> 8) | (high << 24)) ^ (LOW[index] as number)
      high = (high >>> 8) ^ (HIGH[index] as number)
    }
    this.#high = high
    this.#low = low
  }

  /** As the server writes it, the least byte first. */
  digest(): Buffer {
    const bytes = Buffer.alloc(8)
    bytes.writeUInt32LE(this.#low >>> 0, 0)
    bytes.writeUInt32LE(this.#high >>> 0, 4)
    return bytes
  }
}
