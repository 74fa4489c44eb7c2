/**
 * Deals out whole things by weight, each getting its share rounded up or down. Of those that could be rounded up, those that
 * have so many already come first, since then nothing needs to be moved, unless they are ahead by a whole one already.
 * @param have how many each has now
 * @param ahead by how much each got more than its exact share elsewhere; what it gets here is added
 * @returns as many as `have`, with the same sum
 */
export function sharesOf(
  weights: readonly number[],
  have: readonly number[],
  ahead: number[] = weights.map(() => 0),
): number[] {
  const total = sum(have)
  const weight = sum(weights)
  const exact = weights.map((each) => (weight === 0 ? 0 : (total * each) / weight))
  const shares = exact.map((share) => Math.floor(share + EPSILON))
  const fraction = (i: number) => (exact[i] ?? 0) - (shares[i] ?? 0)
  const hasMore = (i: number) => (have[i] ?? 0) > (shares[i] ?? 0)
  const isAhead = (i: number) => (ahead[i] ?? 0) > 1 - EPSILON
  const order = shares
    .map((_, i) => i)
    .filter((i) => fraction(i) > EPSILON)
    .sort(
      (a, b) =>
        Number(isAhead(a)) - Number(isAhead(b)) ||
        Number(hasMore(b)) - Number(hasMore(a)) ||
        (ahead[a] ?? 0) - (ahead[b] ?? 0) ||
        fraction(b) - fraction(a) ||
        a - b,
    )
  for (const i of order.slice(0, total - sum(shares))) shares[i] = (shares[i] ?? 0) + 1
  shares.forEach((share, i) => {
    ahead[i] = (ahead[i] ?? 0) + share - (exact[i] ?? 0)
  })
  return shares
}

/** Shares are quotients: 3 * (1 / 3) is not to be rounded down to 0. */
const EPSILON = 1e-9

const sum = (numbers: readonly number[]) => numbers.reduce((total, each) => total + each, 0)
