import { expect, onTestFinished, test, vi } from 'vitest'
import type { NodeLink } from '../../../src/cluster/link.js'
import { NoRoomError } from '../../../src/cluster/move/party.js'
import { Rooms } from '../../../src/cluster/move/room.js'

const MB = 1024 * 1024
const PARTY = { id: 'b', host: '127.0.0.1', port: 7001, name: '127.0.0.1:7001' }

/** A node that says so of itself. */
const saying = (info: Readonly<Record<string, string | number>>) =>
  ({
    text: async () =>
      Object.entries(info)
        .map((each) => each.join(':'))
        .join('\r\n'),
  }) as unknown as NodeLink
const EVICTING = {
  maxmemory: 100 * MB,
  used_memory: 90 * MB,
  maxmemory_policy: 'allkeys-lru',
  evicted_keys: 5,
}

test.each([
  ['no limit', { ...EVICTING, maxmemory: 0 }, 50 * MB],
  ['it refuses what does not fit', { ...EVICTING, maxmemory_policy: 'noeviction' }, 50 * MB],
  ['room enough', EVICTING, 8 * MB],
])('keys may be sent: %s', async (_, info, bytes) => {
  await new Rooms().expectRoom(saying(info), PARTY, bytes)
})

test('a node that would throw keys away gets none', async () => {
  const refusal = new Rooms().expectRoom(saying(EVICTING), PARTY, 10 * MB)
  await expect(refusal).rejects.toThrow(NoRoomError)
  await expect(refusal).rejects.toMatchObject({
    message:
      '127.0.0.1:7001 has 10.0 MB free, and would throw keys away for what is moved to it (maxmemory-policy allkeys-lru)',
    remedy: expect.stringContaining('redis-cli -h 127.0.0.1 -p 7001 CONFIG SET maxmemory-policy noeviction'),
  })
})

test('one that has thrown keys away since it was first asked is found', async () => {
  const rooms = new Rooms()
  await rooms.expectRoom(saying(EVICTING), PARTY, MB)
  await rooms.expectKept(saying(EVICTING), PARTY)
  await expect(rooms.expectKept(saying({ ...EVICTING, evicted_keys: 7 }), PARTY)).rejects.toThrow(
    'has thrown 2 keys away',
  )
})

test('also where it threw nothing away when it was first asked', async () => {
  const rooms = new Rooms()
  await rooms.expectRoom(saying({ ...EVICTING, maxmemory: 0 }), PARTY, MB)
  onTestFinished(() => void vi.restoreAllMocks())
  vi.spyOn(performance, 'now').mockReturnValue(performance.now() + 2_000)
  await expect(rooms.expectKept(saying({ ...EVICTING, evicted_keys: 7 }), PARTY)).rejects.toThrow(
    'has thrown 2 keys away',
  )
})
