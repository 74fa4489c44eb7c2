type Then = (
  this: unknown,
  fulfilled: (value: unknown) => void,
  rejected: (error: unknown) => void,
) => unknown

const nativeThen: Then = Promise.prototype.then
const ignore = () => {}

/** Most times that one may give another in its place: one that gives itself would keep the process busy for ever. */
const MOST_NESTED = 100

/**
 * Follows what code of others has returned, if that is a promise or has a `then`: tells one of the two, once, what became of it.
 * Neither may throw. Nothing that such a `then` does reaches the caller: it may throw, as may the reading of it, call back twice,
 * or be an async function that rejects. The last is why it is not left to `Promise.resolve`, which drops the promise that `then`
 * returns: nobody could handle its rejection, which ends the process. (An async function adopts what it returns in that same way,
 * before anybody else sees it.)
 * @returns false if there is nothing to wait for; then neither is told
 */
export function follow(
  value: unknown,
  fulfilled: (value: unknown) => void,
  rejected: (error: unknown) => void,
  nested = 0,
): boolean {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return false
  let told = false
  const refuse = (error: unknown) => {
    if (told) return
    told = true
    rejected(error)
  }
  try {
    const { then } = value as { then?: unknown }
    if (typeof then !== 'function') return false
    // As nearly all are: a promise of the language itself, where nothing of all this can happen.
    if (then === nativeThen && value.constructor === Promise) {
      nativeThen.call(value, fulfilled, rejected)
      return true
    }
    const resolve = (result: unknown) => {
      if (told) return
      told = true
      if (nested === MOST_NESTED)
        rejected(new TypeError(`it resolved to another \`then\` ${MOST_NESTED} times in a row`))
      else if (!follow(result, fulfilled, rejected, nested + 1)) fulfilled(result)
    }
    // One with a `then` of its own, which may leave the promise beneath without anybody who handles its rejection.
    if (value instanceof Promise) watch(value, ignore)
    watch((then as Then).call(value, resolve, refuse), refuse)
  } catch (error) {
    refuse(error)
  }
  return true
}

/** Only a promise of the language ends the process when nobody handles its rejection; any other is left alone. */
function watch(value: unknown, rejected: (error: unknown) => void): void {
  if (!(value instanceof Promise)) return
  try {
    nativeThen.call(value, ignore, rejected)
  } catch {
    // The constructor of a subclass need not make a promise as the language wants one here. Then it is followed by its `then` alone.
  }
}
