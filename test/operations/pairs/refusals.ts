import type { Choice } from './choose.js'
import type { Ending } from './operate.js'

/** A command to type, or what else is to be done. */
const WAY_OUT =
  /shardq |redis-cli |kill -INT|--[a-z]|\bagain\b|the same command|let it finish|take another|name (a|its|another) |choose|give it|is it running/
const TIMED_OUT = /timed? ?-?out/i
const NAMES_NODE = /\b[\w.-]+:\d{2,5}\b/

/** In one word, for the counts. A refusal is one that says so before it began. */
export function outcomeOf(ending: Ending): string {
  if (ending.end === 'failed') return ending.name
  return ending.end
}

/** What is wrong with how an operation ended: it has to be done, or say in the words of a typed error why not, and what to do. */
export function faultsOf({ operation }: Choice, ending: Ending): string[] {
  if (ending.end === 'crashed') return [`${operation} ended without a word: ${ending.message}`]
  if (ending.end === 'done')
    return operation === 'create' || operation === 'restore'
      ? [`${operation} was done to a cluster that is in use`]
      : []
  const { name, message, isTyped, stack } = ending
  const said = `${operation}: ${name}: ${message}`
  return [
    ...(isTyped ? [] : [`an error without a type: ${said}\n${stack}`]),
    ...(isTyped && !WAY_OUT.test(message) ? [`does not say what to do: ${said}`] : []),
    ...(TIMED_OUT.test(message) && !NAMES_NODE.test(message) ? [`names no node: ${said}`] : []),
  ]
}
