/** What a server says of data that it cannot read, and ends. */
const UNREADABLE = /append only file|AOF|RDB|short read|Internal error|loading the DB|load DB|format/i

/**
 * The first line of a log in which a server warns of that, without what stands before it, `31733:M 28 Nov 2026 09:29:44.303 # `, and without
 * its own way out, which names no file.
 */
export function dataFaultIn(log: string): string | undefined {
  const line = log.split('\n').find((each) => UNREADABLE.test(each) && /^\S+ .* # /s.test(each))
  return line
    ?.replace(/^.* # /s, '')
    .replace(/: make a backup of your AOF file.*/s, '')
    .trim()
}
