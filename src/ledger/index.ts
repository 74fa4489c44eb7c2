/** An account of every task, kept by its users and outside of Redis, and the check of it. */
export { type Book, FileBook, MemoryBook, readBook } from './book.js'
export { check, type FaultFindings, type Findings, isOfCopy, type Reason, type Repeat } from './check.js'
export { type Entry, type Fact, ledgerNow, ledgerOffsetMs, takeLedgerOffset } from './entry.js'
