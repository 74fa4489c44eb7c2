import { expect, it } from 'vitest'
import { onOwnHosts } from './hosts/run.js'

it.each([
  ['three-hosts', 'is back, and all agree'],
  ['new-addresses', 'all six came back with other addresses, and are whole'],
  ['translated', 'drill freeze: .* 0 lost'],
  ['closed-bus', 'does not get through to the bus port'],
])('on hosts of their own: %s', async (scenario, says) => {
  const said = await onOwnHosts(scenario)
  console.log(said)
  expect(said).toMatch(new RegExp(`${says}|NOT RUN`))
})
