import { access } from 'node:fs/promises'

/** Whether something has that path. What we may not look at counts as not there. */
export const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )
