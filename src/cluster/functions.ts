import type { NodeLink } from './link.js'

/** Libraries of functions that a server has: their code, by their names. */
export async function librariesOf(link: NodeLink): Promise<ReadonlyMap<string, Buffer>> {
  const list = (await link.bytes('FUNCTION', 'LIST', 'WITHCODE')) as unknown[][]
  return new Map(
    list.map((fields) => {
      const value = (name: string) => fields[fields.findIndex((field) => String(field) === name) + 1]
      return [String(value('library_name')), value('library_code') as Buffer]
    }),
  )
}
