/** Where the keys of one file have gone. */
export interface FileAccount {
  /** As the manifest says. */
  readonly inFile: number
  /** Of these, left out by the server that reads the file when it loaded it, since their time was over. */
  readonly expiredAtLoad: number
  /**
   * What that server has left, without what is left out, which may have run out as well, or been removed there by us. Nobody else writes to it, so
   * what it had and has not any more has run out.
   */
  readonly left: number
  /** Compared with the cluster, and there. */
  readonly same: number
  /** Looked for in the cluster, by whose clock their time is over. */
  readonly expired: number
  /** Notes, and what `skipTaken` has left out. */
  readonly leftOut: number
}

/**
 * Closes the account of a file: each of its keys is in the cluster, was left out, or has expired.
 * @returns how many have expired: at any time, also between two looks; or what does not add up
 */
export function expiredIn(account: FileAccount): number | string {
  const { inFile, expiredAtLoad, left, same, expired, leftOut } = account
  const loaded = inFile - expiredAtLoad - leftOut
  // Less than none, where SCAN has listed a key twice: so it may when a table was made smaller since most of it has run out.
  const unseen = Math.max(0, loaded - same - expired)
  const gone = loaded - left
  if (unseen > gone)
    return (
      `of ${inFile} keys that were backed up, ${same} are in the cluster, ${expired + expiredAtLoad + gone} have expired and ` +
      `${leftOut} were left out: ${unseen - gone} are missing`
    )
  return expiredAtLoad + expired + unseen
}
