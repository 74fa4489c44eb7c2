import { type EventEmitter, errorMonitor } from 'node:events'
import { toError } from './describe-error.js'
import { follow } from './thenable.js'

type Listener = (...args: unknown[]) => unknown

const ignore = () => {}

/** Emitters of whose broken `error` listeners the process was warned: once for each is enough. */
const warned = new WeakSet<EventEmitter>()

/**
 * Tells every listener of an event, each by itself: one that throws, or returns a promise that rejects, harms neither the
 * others nor whoever emits. What it threw goes to the `error` listeners, once; what one of those throws goes to the others
 * of them. Where nobody is left to hear of it, the process gets a warning. Without listeners nothing happens, also for `error`.
 */
export function emitSafely(emitter: EventEmitter, name: string, ...args: readonly unknown[]): void {
  if (emitter.listenerCount(name) === 0) return
  if (name === 'error') callAll(emitter, errorMonitor, args, undefined)
  callAll(emitter, name, args, undefined)
}

/** `except`: a listener that is left out, since what is told is what it threw. */
function callAll(
  emitter: EventEmitter,
  name: string | typeof errorMonitor,
  args: readonly unknown[],
  except: Listener | undefined,
): void {
  // Raw, so that one that was added by `once` is removed by its call.
  for (const listener of emitter.rawListeners(name) as Listener[]) {
    if (listener === except) continue
    try {
      const returned = listener.apply(emitter, args as unknown[])
      follow(returned, ignore, (thrown) => onFault(emitter, listener, except, thrown))
    } catch (thrown) {
      onFault(emitter, listener, except, thrown)
    }
  }
}

function onFault(
  emitter: EventEmitter,
  listener: Listener,
  except: Listener | undefined,
  thrown: unknown,
): void {
  const others = emitter.rawListeners('error').some((other) => other !== listener)
  // With `except`, a fault was being told already: that of the telling goes no further.
  if (except === undefined && others) callAll(emitter, 'error', [toError(thrown)], listener)
  else warnOnce(emitter, thrown)
}

function warnOnce(emitter: EventEmitter, thrown: unknown): void {
  if (warned.has(emitter)) return
  warned.add(emitter)
  const { name, message } = toError(thrown)
  process.emitWarning(`a listener failed, and no 'error' listener heard of it: ${name}: ${message}`, {
    type: 'ShardqWarning',
    detail: 'Told once for each queue and worker.',
  })
}
