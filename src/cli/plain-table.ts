import Table from 'cli-table3'

/** cli-table3 colours headings and borders by itself, into files too, unless told not to. */
export function plainTable(head: string[], { right }: { readonly right: readonly number[] }) {
  const colAligns = head.map((_, index) => (right.includes(index) ? ('right' as const) : ('left' as const)))
  return new Table({ head, colAligns, style: { head: [], border: [], compact: true } })
}
