/** `; did you mean "nodes"?` when one of the candidates is at most two typing errors away, else nothing. */
export function didYouMean(word: string, candidates: readonly string[]): string {
  // Of two that are equally near, the one that only goes on is the likelier: NODE is NODES rather than MODE.
  const startsWith = (candidate: string) => Number(candidate.startsWith(word))
  const [best] = candidates
    .map((candidate) => ({ candidate, distance: distance(word, candidate) }))
    .filter((each) => each.distance <= Math.min(2, each.candidate.length / 2))
    .sort((a, b) => a.distance - b.distance || startsWith(b.candidate) - startsWith(a.candidate))
  return best === undefined ? '' : `; did you mean "${best.candidate}"?`
}

/** Levenshtein distance: insertions, deletions and replacements, by rows. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (const [index, letter] of [...a].entries()) {
    const next = [index + 1]
    for (let column = 1; column <= b.length; column++) {
      const replaced = (row[column - 1] ?? 0) + (letter === b[column - 1] ? 0 : 1)
      next.push(Math.min(replaced, (row[column] ?? 0) + 1, (next[column - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? 0
}
