import { expect, it } from 'vitest'
import { hostPort, nodeList } from '../../src/cli/arguments.js'
import { isMeant } from '../../src/cluster/link.js'
import { redirectOf } from '../../src/cluster/operation/key-link.js'
import { parseClusterNodes } from '../../src/cluster/replies.js'
import { addressFrom, addressText, mappedIn } from '../../src/connection/host.js'

it.each([
  ['127.0.0.1:7000', { host: '127.0.0.1', port: 7000 }],
  ['redis-0.example:7000', { host: 'redis-0.example', port: 7000 }],
  ['[::1]:7000', { host: '::1', port: 7000 }],
  ['[fd00::2]:7000', { host: 'fd00::2', port: 7000 }],
  ['[fe80::1%eth0]:7000', { host: 'fe80::1%eth0', port: 7000 }],
])('%s is read, and printed as it was', (text, address) => {
  expect(addressFrom(text)).toEqual(address)
  expect(hostPort(text)).toEqual(address)
  expect(addressText(address)).toBe(text)
})

it('as servers write an IPv6 address, it is read, too', () => {
  expect(hostPort('::1:7000')).toEqual({ host: '::1', port: 7000 })
  expect(nodeList('[::1]:7000@17000,fd00::2:7001')).toEqual([
    { host: '::1', port: 7000, busPort: 17_000 },
    { host: 'fd00::2', port: 7001 },
  ])
  const id = 'a'.repeat(40)
  const line = `${id} ::1:7000@17000 myself,master - 0 0 1 connected 0-16383`
  expect(parseClusterNodes(line, '::1')).toMatchObject([{ host: '::1', port: 7000, busPort: 17_000 }])
  expect(redirectOf(new Error('MOVED 7 ::1:7001'), { host: '::1', port: 7000 })).toEqual({
    to: { host: '::1', port: 7001 },
    asking: false,
  })
})

it.each(['7000', ':7000', '::1', 'a:b:7000', '[::1]7000', '127.0.0.1', 'host:'])(
  '%s is no address',
  (text) => {
    expect(() => hostPort(text)).toThrow('expected HOST:PORT')
  },
)

it('a node is meant by its id, and by its address in either form', () => {
  const node = { id: 'abc', host: '::1', port: 7000 }
  for (const typed of ['abc', '[::1]:7000', '::1:7000']) expect(isMeant(node, typed)).toBe(true)
  for (const typed of ['ab', '[::1]:7001', '127.0.0.1:7000']) expect(isMeant(node, typed)).toBe(false)
})

it('a natMap has keys in either form', () => {
  const to = { host: '127.0.0.1', port: 1 }
  for (const key of ['[::1]:7000', '::1:7000'])
    expect(mappedIn({ [key]: to }, { host: '::1', port: 7000 })).toBe(to)
})
