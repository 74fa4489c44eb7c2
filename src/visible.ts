/**
 * What a terminal would carry out instead of showing it (controls), what would end a line or change the order of the letters around it, and
 * what would not be seen at all, so that two names that differ look the same: formats, fillers, halves of surrogate pairs. U+FE0F is left to
 * the emoji that it belongs to. Of marks that are put over a letter, no language has more than four: a pile of them covers the lines above.
 */
const HIDDEN =
  /(?!(?<=\p{Extended_Pictographic})\ufe0f)[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]|(?<=\p{M}{4})\p{M}/gu

/**
 * A name, an error, or any text that a server or a user has chosen, so that it can be shown on a line of ours: `\x1b`, `\u2028`. Whoever
 * may write one key must not be able to draw on the terminal of who looks at it, nor to add a line to what we say.
 */
export const visible = (text: string): string => text.replace(HIDDEN, escaped)

/** JSON that is as good as before, with nothing in its strings that a terminal would carry out: JSON.stringify leaves C1 as it is. */
export const visibleJson = (json: string): string =>
  json.replace(HIDDEN, (char) => (char === '\n' ? char : [...codeUnits(char)].join('')))

function escaped(char: string): string {
  const code = char.codePointAt(0) ?? 0
  const digits = code.toString(16)
  if (code < 0x100) return `\\x${digits.padStart(2, '0')}`
  return code > 0xffff ? `\\u{${digits}}` : `\\u${digits.padStart(4, '0')}`
}

/** JSON knows no `\u{...}`: what UTF-16 needs two units for has two escapes. */
function* codeUnits(char: string): Generator<string> {
  for (let at = 0; at < char.length; at++) yield `\\u${char.charCodeAt(at).toString(16).padStart(4, '0')}`
}
