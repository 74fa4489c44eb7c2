import { BUNDLE_BYTES, BUNDLE_TASKS, bundleName } from '../scripts/bundles.js'
import type { Item } from './item.js'

/** Gives tasks that have none their ids: neighbours that are alike those of one bundle. `next` makes one for each. */
export function nameTasks(items: readonly Item[], next: () => string): void {
  for (let from = 0; from < items.length; ) {
    const first = items[from] as Item
    let to = from + 1
    if (mayBeBundled(first)) {
      let bytes = first.record.length
      for (; to < items.length && to - from < BUNDLE_TASKS; to++) {
        const item = items[to] as Item
        bytes += item.record.length
        if (bytes > BUNDLE_BYTES || item.level !== first.level || !mayBeBundled(item)) break
      }
    }
    if (to - from > 1) {
      const size = to - from
      const bundle = { name: bundleName(next(), size), size }
      for (let place = 0; place < size; place++) (items[from + place] as Item).join(bundle, place)
    } else if (first.id === '') {
      first.id = next()
    }
    from = to
  }
}

/** New, and nothing about it that only holds for this one task. */
function mayBeBundled(item: Item): boolean {
  return item.id === '' && !item.keyed && item.delayMs === 0 && item.idempotencyKey === undefined
}
