import { expect, test } from 'vitest'
import { parseClusterNodes, parseFields } from '../../../src/cluster/replies.js'

const NODES = [
  'a1 :7000@17000 myself,master - 0 0 1 connected 0-5460 5462 [93->-b2]',
  'b2 10.0.0.2:7001@17009,host.example,shard-id=77 master,fail? - 0 1465474472010 2 disconnected 5461',
  'c3 ::1:7002@17002 slave,noaddr a1 0 1465474471001 1 connected',
  '',
].join('\n')

test('a line of CLUSTER NODES: own address, open slots, host names, IPv6, flags', () => {
  expect(parseClusterNodes(NODES, '127.0.0.1')).toEqual([
    {
      id: 'a1',
      host: '127.0.0.1',
      port: 7000,
      busPort: 17_000,
      role: 'master',
      masterId: null,
      slots: [
        [0, 5460],
        [5462, 5462],
      ],
      openSlots: ['[93->-b2]'],
      flags: [],
      myself: true,
      linkState: 'connected',
      configEpoch: 1,
    },
    expect.objectContaining({
      host: '10.0.0.2',
      port: 7001,
      busPort: 17_009,
      flags: ['fail?'],
      linkState: 'disconnected',
    }),
    expect.objectContaining({
      host: '::1',
      port: 7002,
      role: 'replica',
      masterId: 'a1',
      slots: [],
      flags: ['noaddr'],
    }),
  ])
})

test('a replica has no open slots, whatever it repeats of its master', () => {
  const line = 'c3 10.0.0.3:7002@17002,,shard-id=77 slave a1 0 0 1 connected [93->-b2]'
  expect(parseClusterNodes(line, '10.0.0.3')).toMatchObject([{ role: 'replica', slots: [], openSlots: [] }])
})

test('INFO: fields by name, values with colons whole', () => {
  const fields = parseFields('# Server\r\nredis_version:7.0.15\r\nconfig_file:C:\\x\r\n\r\n')
  expect([...fields]).toEqual([
    ['redis_version', '7.0.15'],
    ['config_file', 'C:\\x'],
  ])
})
