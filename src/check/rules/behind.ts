import { AuthenticationError, TlsError } from '../../errors.js'
import { alike, type Check, plural } from '../check.js'
import type { Scene, Silent } from '../scene.js'

/** A check of what stands behind addresses that give no answer; `tell` has the words where it is this. */
export function behind(
  check: Pick<Check, 'about' | 'why' | 'mend'>,
  tell: (said: Said, node: Silent) => string | undefined | false,
): Check {
  return {
    ...check,
    severity: 'error',
    find: (scene) =>
      alike(scene.silent, (node) => {
        const told = tell(saidBy(node, scene), node)
        return told && told + knownAs(node, scene)
      }),
  }
}

/** What came back in place of an answer: a first word of the server's, or what stands there instead. */
export interface Said {
  readonly word: string
  readonly text: string
}

function saidBy(node: Silent, { probed }: Scene): Said {
  const knocked = probed.knocks.get(node.name)
  const { error } = node
  if (error instanceof TlsError) return { word: error.reason, text: error.message }
  const refusal = error instanceof AuthenticationError ? (error.cause as Error).message : undefined
  const text = refusal ?? (knocked?.behind === 'answer' ? knocked.text.replace(/^-/, '') : '')
  if (text === '') return { word: knocked?.behind ?? '', text: error.message }
  return { word: text.split(' ', 1)[0] ?? '', text }
}

function knownAs({ name }: Silent, { members, cluster }: Scene): string {
  const member = members.find((each) => each.name === name)
  if (!member) return ''
  const { line, missedBy } = member
  const shard = line.slots.length > 0 ? `${line.role} with slots` : line.role
  return `; a ${shard} that ${missedBy.length} of ${plural(cluster.length, 'node')} miss`
}

/** The first words of replies that have a check of their own, or belong to a Redis that is otherwise well. */
export const WORDS = [
  'NOAUTH',
  'WRONGPASS',
  'NOPERM',
  'DENIED',
  'LOADING',
  'MASTERDOWN',
  'MISCONF',
  'ERR',
  '+PONG',
]
export const PLACES = ['unknown host', 'nothing', 'nobody', 'silence', 'hang-up', '']
export const isFull = ({ text }: Said) => text.includes('max number of clients')
