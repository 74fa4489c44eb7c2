import type { Form, Written } from './hostile-output.js'

/** How what is to be typed begins, where it stands within a sentence. */
const BEGINS =
  /(?<![\w/.-])(?:shardq (?:cluster|queue|doctor|demo|bench|metrics)|redis-cli|kill (?=-|\d)|ssh (?=\S*@?\S)|export SHARDQ|nc -|getent hosts|printf %s|sudo )/u
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CODES = /\u001b\[[\d;?]*[A-Za-z]/gu
/** What a shell would do something with, as the corpus has it, and words that a program would take for options of its own. */
const CARRIED_OUT = /PWNED|\$\(|`|(?<=hx)[$;&|<>*?[\]{}()!#~'"\\]|(?:^|\s)(?:#hx|~hx)/u

/** Commands to be typed that have something in them that the shell would carry out: what was printed as one, and what looks like one. */
export function remedyFaultsOf({ stdout, stderr }: Written, form: Form): string[] {
  const found = form === 'json' ? commandsInJson(stdout) : [stdout, stderr].flatMap(commandsInText)
  return found
    .filter((command) => CARRIED_OUT.test(outsideQuotes(command)))
    .map((command) => `to be typed: ${command}`)
}

/** A line that begins with `$ `, in a cell of a table too, is a command as a whole. */
function commandsInText(text: string): string[] {
  return text
    .replaceAll(CODES, '')
    .split('\n')
    .flatMap((line) => line.split('│'))
    .flatMap((cell) => (/^\s*\$ /.test(cell) ? [cell.trim().slice(2)] : withinSentence(cell)))
}

function commandsInJson(text: string): string[] {
  const found: string[] = []
  const walk = (value: unknown, isCommand: boolean): void => {
    if (typeof value === 'string') found.push(...(isCommand ? [value] : withinSentence(value)))
    else if (Array.isArray(value)) for (const each of value) walk(each, isCommand)
    else if (typeof value === 'object' && value !== null)
      for (const [name, each] of Object.entries(value))
        walk(each, ['mend', 'command', 'commands'].includes(name))
  }
  const documents = /^\{$/m.test(text) ? [text] : text.trim().split('\n')
  for (const document of documents) walk(JSON.parse(document), false)
  return found
}

function withinSentence(text: string): string[] {
  const at = BEGINS.exec(text)
  if (at === null) return []
  const rest = text.slice(at.index)
  // After it the sentence goes on, where names stand as they are.
  const end = text[at.index - 1] === '`' ? rest.indexOf('`') : endOf(rest)
  return [rest.slice(0, end), ...withinSentence(rest.slice(Math.max(end, at[0].length)))]
}

function endOf(text: string): number {
  for (const { at, char } of unquotedIn(text))
    if (/[;,)]/.test(char) && /[\s.]|^$/.test(text.charAt(at + 1))) return at
  return text.length
}

const outsideQuotes = (text: string) => [...unquotedIn(text)].map(({ char }) => char).join('')

/** Letters that stand in no quotes, but for double ones, in which a shell fills in variables. A quoted word leaves a `_`. */
function* unquotedIn(text: string): Generator<{ readonly at: number; readonly char: string }> {
  for (let at = 0; at < text.length; at++) {
    const ansi = text.startsWith("$'", at)
    if (text[at] === "'" || ansi) {
      const end = ansi ? /(?<!\\)(?:\\\\)*'/.exec(text.slice(at + 2)) : /'/.exec(text.slice(at + 1))
      if (end === null) return
      at += (ansi ? 2 : 1) + end.index + end[0].length - 1
      yield { at, char: '_' }
    } else if (text[at] === '\\' && text[at + 1] === "'") at++
    else yield { at, char: text.charAt(at) }
  }
}
