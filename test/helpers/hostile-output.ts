import { FORGED } from './hostile-names.js'

/** Written down here once more, so that what is missing in src/visible.ts is noticed: by code, not by class. */
const UNSEEN = new RegExp(
  [
    '[\\u0000-\\u0009\\u000b-\\u001f\\u007f-\\u009f\\u00ad\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180e\\u200b-\\u200f]',
    '[\\u2028-\\u202e\\u2060-\\u206f\\u3164\\ufeff\\uffa0\\ufff0-\\ufffb\\u{1d173}-\\u{1d17a}\\u{e0000}-\\u{e0fff}]',
    '\\u034f|\\u180b|\\u180c|\\u180d|\\u180f',
  ].join('|'),
  'u',
)
/** U+FE0F is right behind the emoji that it makes one of. */
const VARIATION = /(?<!\p{Extended_Pictographic})\ufe0f|[\ufe00-\ufe0e]/u
const PILE = /\p{Mn}{5}/u
/** Weights and colours that our own reports have. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const COLOURS = /\u001b\[(?:0|1|2|22|31|32|33|36|39)m/gu
/** How log-update draws a line of progress over itself. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const DRAWING = /\u001b\[(?:\?25[lh]|\?2026[lh]|2K|0?J|0?K|1G|G|\d{1,3}A|\d{1,3}B|\d{1,3}G)/gu

export interface Written {
  readonly stdout: string
  readonly stderr: string
}

export type Form = 'text' | 'json' | 'terminal'

/** What is wrong with what a command has written; none: nothing of it does more than to be read. */
export function faultsOf({ stdout, stderr }: Written, form: Form): string[] {
  return Object.entries({ stdout, stderr }).flatMap(([stream, text]) => {
    const ours = form === 'terminal' ? text.replaceAll(COLOURS, '').replaceAll(DRAWING, '') : text
    return [...hidden(ours), ...forged(text), ...inherited(text)].map((fault) => `${stream}: ${fault}`)
  })
}

function hidden(text: string): string[] {
  return [UNSEEN, VARIATION, PILE].flatMap((kind) => {
    const found = kind.exec(text)
    return found === null ? [] : [`${[...found[0]].map(code).join(' ')} in ${around(text, found.index)}`]
  })
}

/** A line, or a colour, that is made to look like one of ours. */
function forged(text: string): string[] {
  const found = new RegExp(`(?:^|\\u001b\\[[\\d;]*m|\\n)\\s*${FORGED}`, 'u').exec(text)
  return found === null ? [] : [`${FORGED} looks as if it was ours in ${around(text, found.index)}`]
}

/** What a name such as `constructor` finds in an object that is no map. */
function inherited(text: string): string[] {
  const found = /\[native code\]|\[object \w+\]/.exec(text)
  return found === null ? [] : [`${found[0]} in ${around(text, found.index)}`]
}

const code = (char: string) => `U+${(char.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`
const around = (text: string, at: number) => JSON.stringify(text.slice(Math.max(0, at - 60), at + 60))

/** The same, and that there is something at all, which with `--json` is JSON. */
export function faultsIn(written: Written, form: Form): string[] {
  const faults = faultsOf(written, form)
  if (written.stdout + written.stderr === '') faults.push('it wrote nothing')
  if (form !== 'json') return faults
  if (written.stderr !== '') faults.push(`stderr: ${written.stderr}`)
  // One document of several lines, or with --watch one on each line.
  const documents = /^\{$/m.test(written.stdout) ? [written.stdout] : written.stdout.trim().split('\n')
  for (const document of documents) {
    try {
      JSON.parse(document)
    } catch (error) {
      faults.push(`${String(error)} in ${JSON.stringify(document.slice(0, 200))}`)
    }
  }
  return faults
}
