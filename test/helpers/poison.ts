import { inspect } from 'node:util'

/** Something that a handler may throw, and what is kept of it. */
interface Poison {
  readonly value: unknown
  readonly name: string
  readonly says: string
}

const revoked = Proxy.revocable({}, {})
revoked.revoke()

const circular = new Error('circular', { cause: undefined })
circular.cause = circular

const withGetter = (property: string) =>
  Object.defineProperty(new Error('m'), property, {
    get() {
      throw new Error('the getter throws')
    },
  })

const UNREADABLE = 'it cannot be described'

/** Values of which a careless description throws, hangs, or grows without bound. */
export const POISON: readonly Poison[] = [
  { value: Object.create(null), name: 'Error', says: '[Object: null prototype] {}' },
  { value: revoked.proxy, name: 'Error', says: UNREADABLE },
  {
    value: new Proxy(new Error('x'), {
      get() {
        throw new Error('the trap throws')
      },
      getPrototypeOf() {
        throw new Error('the trap throws')
      },
    }),
    name: 'Error',
    says: UNREADABLE,
  },
  {
    value: {
      toString() {
        throw new Error('toString throws')
      },
      [inspect.custom]() {
        throw new Error('inspect throws')
      },
    },
    name: 'Error',
    says: 'toString',
  },
  { value: Symbol('of a task'), name: 'Error', says: 'Symbol(of a task)' },
  { value: 10n, name: 'Error', says: '10n' },
  { value: null, name: 'Error', says: 'null' },
  { value: undefined, name: 'Error', says: 'undefined' },
  { value: { code: 7 }, name: 'Error', says: '{ code: 7 }' },
  { value: { name: 'HttpError', message: 'teapot' }, name: 'HttpError', says: 'teapot' },
  { value: 'x'.repeat(5_000_000), name: 'Error', says: 'xxx' },
  { value: Object.assign(new Error('m'), { message: { code: 7 } }), name: 'Error', says: '{ code: 7 }' },
  { value: Object.assign(new Error('m'), { message: 42 }), name: 'Error', says: '42' },
  { value: Object.assign(new Error('m'), { stack: { at: 'nowhere' } }), name: 'Error', says: 'm' },
  { value: Object.assign(new Error('m'), { name: 5n }), name: 'Error', says: 'm' },
  { value: Object.assign(new Error('m'), { name: Symbol('n') }), name: 'Error', says: 'm' },
  { value: Object.assign(new Error('m'), { name: 'N'.repeat(5_000_000) }), name: 'N'.repeat(200), says: 'm' },
  { value: new Error('M'.repeat(5_000_000)), name: 'Error', says: 'MMM' },
  { value: Object.assign(new Error('m'), { stack: 's'.repeat(5_000_000) }), name: 'Error', says: 'm' },
  { value: withGetter('message'), name: 'Error', says: UNREADABLE },
  { value: withGetter('stack'), name: 'Error', says: 'm' },
  { value: withGetter('name'), name: 'Error', says: 'm' },
  { value: circular, name: 'Error', says: 'circular' },
]
