/**
 * What a terminal would carry out instead of showing it (C0, DEL, C1), and what would change the order of the letters around it or end a
 * line (Unicode's bidirectional controls, U+2028, U+2029).
 */
const HIDDEN = '\\u0000-\\u001f\\u007f-\\u009f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069'
const ANY = new RegExp(`[${HIDDEN}]`, 'gu')
/** Colours and weights, as picocolors and cli-table3 write them; line ends; or anything else of the kind. */
const TOKENS = new RegExp(`\\u001b\\[\\d{1,3}(?:;\\d{1,3})*m|[${HIDDEN}]`, 'gu')

/**
 * A name, an error, or any text that a server or a user has chosen, so that it can be shown: `\x1b`, `\u2028`. Whoever may write one key
 * must not be able to draw on the terminal of who looks at it.
 */
export const visible = (text: string): string => text.replace(ANY, escaped)

/** The same of a whole text of ours, of one line or more: its line ends stay, and its colours where there are any. */
export function visibleText(text: string, withColours: boolean): string {
  return text.replace(TOKENS, (token) => {
    if (token === '\n' || (withColours && token.length > 1)) return token
    return [...token].map((char) => (char < '!' || char > '~' ? escaped(char) : char)).join('')
  })
}

/** JSON that is as good as before, with nothing in its strings that a terminal would carry out: JSON.stringify leaves C1 as it is. */
export const visibleJson = (json: string): string =>
  json.replace(ANY, (char) =>
    char === '\n' ? char : `\\u${(char.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`,
  )

function escaped(char: string): string {
  const code = char.codePointAt(0) ?? 0
  return code < 0x100
    ? `\\x${code.toString(16).padStart(2, '0')}`
    : `\\u${code.toString(16).padStart(4, '0')}`
}
