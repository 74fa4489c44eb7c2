import { types } from 'node:util'

/** Most characters of a path in an error: data may be nested as deep as it likes. */
const MOST_PATH = 200

/** Where JSON loses something: the path from there up is put before it while the walk goes back to the root. */
interface Loss {
  path: string
  readonly problem: string
}

/**
 * Looks for what JSON.stringify loses without a word: NaN and Infinity, which it writes as null, as it does with an invalid
 * Date, and with an element of an array that is undefined, a function or a symbol; and the contents of a Map, a Set, an
 * Error and the like, of which it writes the own properties at most. Members of objects that are undefined are left out by JSON,
 * and no loss; nor are private fields of a class, names that are symbols, and properties of an array that are no elements.
 * @param undefinedAsNull an undefined element of an array may become null
 * @returns what is wrong, with its path: `data.a[3].b is NaN; JSON has no such number`
 * @throws whatever getters and `toJSON` throw
 */
export function lostInJson(root: string, value: unknown, undefinedAsNull: boolean): string | undefined {
  const loss = lossIn(value, '', undefinedAsNull)
  if (!loss) return undefined
  const path = root + loss.path
  return `${path.length > MOST_PATH ? `${path.slice(0, MOST_PATH)}…` : path} ${loss.problem}`
}

function lossIn(value: unknown, key: string, undefinedAsNull: boolean): Loss | undefined {
  if (typeof value === 'number') return Number.isFinite(value) ? undefined : lossOfNumber(value)
  if (typeof value !== 'object' || value === null) return undefined
  if (hasToJson(value)) {
    if (value instanceof Date && Number.isNaN(value.getTime()))
      return { path: '', problem: 'is an invalid Date, which JSON writes as null' }
    const written = value.toJSON(key)
    // It may return itself; then it is read like any other object, and not asked again.
    return written === value ? lossInObject(value, undefinedAsNull) : lossIn(written, key, undefinedAsNull)
  }
  return lossInObject(value, undefinedAsNull)
}

function lossInObject(value: object, undefinedAsNull: boolean): Loss | undefined {
  if (Array.isArray(value)) return lossInArray(value, undefinedAsNull)
  const keys = Object.keys(value)
  // Most are plain, and need not be asked what else they might be.
  if (Object.getPrototypeOf(value) !== Object.prototype) {
    if (types.isNumberObject(value)) return lossIn(Number(value), '', undefinedAsNull)
    const name = opaqueName(value) ?? (keys.length === 0 ? iterableName(value) : undefined)
    if (name !== undefined) {
      const lost =
        keys.length === 0
          ? 'which JSON writes as {}'
          : `of which JSON writes no more than ${keys.slice(0, 5).join(', ')}${keys.length > 5 ? ', …' : ''}`
      return { path: '', problem: `is ${name}, ${lost}; make a plain object or an array of it` }
    }
  }
  for (const key of keys) {
    const loss = lossIn((value as Record<string, unknown>)[key], key, undefinedAsNull)
    if (loss) {
      loss.path = (/^[A-Za-z_$][\w$]*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`) + loss.path
      return loss
    }
  }
  return undefined
}

function lossInArray(values: readonly unknown[], undefinedAsNull: boolean): Loss | undefined {
  for (let i = 0; i < values.length; i++) {
    const value = values[i]
    const kind = typeof value
    if (kind === 'undefined' && undefinedAsNull) continue
    const loss =
      kind === 'undefined' || kind === 'function' || kind === 'symbol'
        ? { path: '', problem: `is ${kind === 'undefined' ? kind : `a ${kind}`}, which JSON writes as null` }
        : lossIn(value, String(i), undefinedAsNull)
    if (loss) {
      loss.path = `[${i}]${loss.path}`
      return loss
    }
  }
  return undefined
}

function lossOfNumber(value: number): Loss {
  return { path: '', problem: `is ${value}; JSON has no such number` }
}

function hasToJson(value: object): value is { toJSON(key: string): unknown } {
  return typeof (value as { toJSON?: unknown }).toJSON === 'function'
}

/** What holds its contents where JSON does not look. */
function opaqueName(value: object): string | undefined {
  if (types.isMap(value)) return 'a Map'
  if (types.isSet(value)) return 'a Set'
  if (types.isPromise(value)) return 'a Promise'
  if (types.isNativeError(value) || value instanceof DOMException) return 'an Error'
  if (types.isRegExp(value)) return 'a RegExp'
  if (types.isWeakMap(value) || types.isWeakSet(value)) return 'a WeakMap or WeakSet'
  if (types.isAnyArrayBuffer(value) || types.isDataView(value)) return 'an ArrayBuffer'
  if (value instanceof URLSearchParams) return 'a URLSearchParams'
  if (value instanceof Blob) return 'a Blob'
  return undefined
}

/** Whatever gives its contents to who iterates alone: Headers, FormData, iterators, classes that keep them in private fields. */
function iterableName(value: object): string | undefined {
  if (ArrayBuffer.isView(value) || !(Symbol.iterator in value)) return undefined
  return 'an iterable without properties'
}

/**
 * Whether a value, or one of its members, holds its contents where JSON does not look, although the text of it shows nothing of that:
 * an Error with a code, for instance. Deeper ones are not looked for: that would take about as long as to write the text.
 */
export function showsOpaque(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  if (isOpaque(value)) return true
  for (const key in value) if (isOpaque((value as Record<string, unknown>)[key])) return true
  return false
}

function isOpaque(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === Object.prototype || prototype === Array.prototype) return false
  return opaqueName(value) !== undefined
}
