// Runs commands of the built `shardq` one after the other in one process, which is a quarter of a second less for each:
// `run-commands.mjs pipe|terminal`. Told by messages: { args, cwd, env, until }; answers with { code, stdout, stderr }.
const written = { stdout: '', stderr: '' }
let until
const isTerminal = process.argv[2] === 'terminal'
for (const name of ['stdout', 'stderr']) {
  const stream = process[name]
  Object.defineProperties(stream, {
    isTTY: { value: isTerminal },
    columns: { value: isTerminal ? 100 : undefined },
    rows: { value: isTerminal ? 40 : undefined },
  })
  stream.write = (chunk, encoding, done) => {
    written[name] += chunk
    if (until?.test(written.stdout)) {
      until = undefined
      // As Ctrl-C: what was written is complete first.
      setImmediate(() => process.emit('SIGINT', 'SIGINT'))
    }
    const after = typeof encoding === 'function' ? encoding : done
    after?.()
    return true
  }
}
const { run } = await import(new URL('../../../dist/cli/run.js', import.meta.url).href)
const own = { ...process.env }

process.on('message', async ({ args, cwd, env, until: pattern }) => {
  for (const name of Object.keys(process.env)) if (!(name in own)) delete process.env[name]
  Object.assign(process.env, own, env)
  process.chdir(cwd)
  process.exitCode = undefined
  Object.assign(written, { stdout: '', stderr: '' })
  until = pattern === undefined ? undefined : new RegExp(pattern)
  const code = await run([process.execPath, 'shardq', ...args])
  process.send({ code, ...written })
})
process.send('ready')
