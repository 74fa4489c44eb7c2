import { inspect } from 'node:util'

/** What is kept of an error. */
export interface DescribedError {
  readonly name: string
  readonly message: string
  readonly stack?: string
}

/** Most characters of each part: one error must not fill a shard, nor a listener's log. */
const MOST_NAME = 200
const MOST_MESSAGE = 2_000
const MOST_STACK = 8_000

/**
 * Describes whatever was thrown, and never throws itself: a handler may throw an object without a prototype, a revoked proxy,
 * an error whose message is an object or a getter that throws. Every part is a text of bounded length.
 */
export function describeError(thrown: unknown): DescribedError {
  const name = read(thrown, 'name')
  const message = read(thrown, 'message')
  const stack = read(thrown, 'stack')
  return {
    name: typeof name === 'string' && name !== '' ? name.slice(0, MOST_NAME) : 'Error',
    message: messageOf(thrown, message),
    ...(typeof stack === 'string' ? { stack: stack.slice(0, MOST_STACK) } : {}),
  }
}

/** The error itself if it is a sound one, else an error that describes it and has it as its `cause`. Never throws. */
export function toError(thrown: unknown): Error {
  if (isSound(thrown)) return thrown
  const { name, message } = describeError(thrown)
  const error = new Error(message, { cause: thrown })
  // As Error.prototype has it: not one of the properties that are listed with the error.
  Object.defineProperty(error, 'name', { value: name, configurable: true, writable: true })
  return error
}

function isSound(thrown: unknown): thrown is Error {
  try {
    return (
      thrown instanceof Error &&
      typeof thrown.name === 'string' &&
      typeof thrown.message === 'string' &&
      (thrown.stack === undefined || typeof thrown.stack === 'string')
    )
  } catch {
    // A getter or a proxy that throws: then it is none.
    return false
  }
}

/** What says that a property cannot be read. */
const UNREADABLE = Symbol('unreadable')

function read(thrown: unknown, property: 'name' | 'message' | 'stack'): unknown {
  if (typeof thrown !== 'object' || thrown === null) return undefined
  try {
    return (thrown as Record<string, unknown>)[property]
  } catch {
    return UNREADABLE
  }
}

function messageOf(thrown: unknown, message: unknown): string {
  if (typeof message === 'string') return message.slice(0, MOST_MESSAGE)
  if (message === UNREADABLE) return 'it cannot be described: reading its message throws'
  // An object that has no message, or a value that is no object, is its own message.
  return textOf(message === undefined ? thrown : message)
}

function textOf(value: unknown): string {
  if (typeof value === 'string') return value.slice(0, MOST_MESSAGE)
  try {
    // No custom inspection: it is code of others, and what it returns has no bound.
    const text = inspect(value, {
      depth: 2,
      customInspect: false,
      breakLength: Number.POSITIVE_INFINITY,
      maxArrayLength: 20,
      maxStringLength: MOST_MESSAGE,
    })
    return text.slice(0, MOST_MESSAGE)
  } catch {
    return `a value of type ${typeof value} that cannot be described`
  }
}
