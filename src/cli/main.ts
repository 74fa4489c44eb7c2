#!/usr/bin/env node
import { run } from './run.js'

// Whoever reads us may have read enough: `shardq ... | head`.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(1)
  throw error
})

process.exitCode = await run(process.argv)
