/** Questions that are under way to a node at once, at most. */
const FLIGHT = 1_000

/** Asks for each item, in few round trips. @returns the answers, in order */
export async function inFlights<Item, Found>(
  items: readonly Item[],
  ask: (item: Item) => Promise<Found>,
): Promise<Found[]> {
  const found: Found[] = []
  for (let at = 0; at < items.length; at += FLIGHT)
    found.push(...(await Promise.all(items.slice(at, at + FLIGHT).map(ask))))
  return found
}

/**
 * As `inFlights`, first one, then two, four and so on, and none after one that has failed. A server may take its time for each (Valkey asks its
 * replicas first), or two seconds to refuse one, and does them one after the other.
 * @param mayGoOn whether there is time for a flight that takes so long
 * @returns how many were asked: the first ones
 * @throws what the first failed with, when all of its flight have ended
 */
export async function inGrowingFlights<Item>(
  items: readonly Item[],
  ask: (item: Item) => Promise<unknown>,
  mayGoOn: (ms: number) => boolean = () => true,
): Promise<number> {
  let asked = 0
  for (let most = 1, lastMs = 0; asked < items.length && mayGoOn(2 * lastMs); most *= 2) {
    const startedMs = performance.now()
    const flight = items.slice(asked, asked + most)
    asked += flight.length
    const failed = (await Promise.allSettled(flight.map(ask))).find(({ status }) => status === 'rejected')
    if (failed?.status === 'rejected') throw failed.reason
    lastMs = performance.now() - startedMs
  }
  return asked
}
