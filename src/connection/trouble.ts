import { ShardqError, TooManyClientsError } from '../errors.js'

/** As long as ioredis has no more to say than this, somebody else has. */
const SAYS_NOTHING =
  /^(Connection is closed\.?|Stream isn't writeable.*|Command aborted due to connection close)$/

/** Most characters of a stranger's first words that are repeated. */
const MOST_WORDS = 60

/** The server's words at the head of a connection, where they are an error reply: `ERR max number of clients reached`. */
function refusalIn(words: string): string | undefined {
  return words.startsWith('-') ? words.slice(1).split('\r\n')[0] : undefined
}

/**
 * Why no connection came about, in words that name the node: what the server said goes before what the socket did.
 * @param words what the server said first; '' if nothing
 */
export function connectTrouble(node: string, error: Error, words: string): Error {
  if (error instanceof ShardqError) return error
  const refusal = refusalIn(words)
  if (refusal && /max number of clients/i.test(refusal))
    return new TooManyClientsError(node, { cause: error })
  // The refusal of a command that we have sent is read as a reply, by its first word.
  if (error.name === 'ReplyError') return error
  if (refusal) return new Error(`${node} refuses the connection: ${refusal}`, { cause: error })
  if (words !== '' && !/^[+:$*]/.test(words)) return new Error(notRedis(node, words), { cause: error })
  if (SAYS_NOTHING.test(error.message) || /\b(EPIPE|ECONNRESET)\b/.test(error.message)) {
    const what = `closed the connection before it had said anything${socketError(error)}`
    return new Error(`${node} ${what}; is it a Redis server, and not its bus port?`, { cause: error })
  }
  return error
}

function notRedis(node: string, words: string): string {
  const line = (words.split('\n')[0] ?? '').slice(0, MOST_WORDS)
  // What a stranger says may be anything, and goes to logs and terminals.
  const said = JSON.stringify(line.replace(/[^\x20-\x7e]+/g, ' ').trim())
  return `${node} is not a Redis server${/^HTTP\//.test(words) ? ', it speaks HTTP' : ''}: it says ${said}`
}

/** Why replies will not come any more, with what was being asked. */
export function lostTrouble(node: string, command: string, error: Error): Error {
  if (error instanceof ShardqError) return error
  return new Error(`${node} closed the connection before it answered ${command}${socketError(error)}`, {
    cause: error,
  })
}

const socketError = ({ message }: Error) => (SAYS_NOTHING.test(message) ? '' : ` (${message})`)
