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
