import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { ensureValkey } from '../../scripts/find-valkey.js'
import { program } from '../helpers/fake-system.js'
import { tempDir } from '../helpers/temp-dir.js'

const VALKEY = 'echo "Valkey server v=8.0.1 sha=0:0 malloc=libc bits=64"'

/** A Debian with an archive of its own: its `apt-get` keeps a record of how it was called. */
async function debian({ download = 'touch a.deb b.deb' } = {}) {
  const dir = await tempDir()
  await symlink('/bin/sh', join(dir, 'sh'))
  for (const name of ['cat', 'touch', 'ls', 'mkdir', 'chmod']) await symlink(`/bin/${name}`, join(dir, name))
  await program(
    join(dir, 'apt-get'),
    `echo "$*" >> '${dir}/calls'
case "$*" in
  *indextargets*) echo 'http://archive.test/debian/ bookworm-updates main'; echo 'http://archive.test/debian/ bookworm main';;
  *update*) for each; do case "$each" in *SourceList=*) cat "\${each#*=}" > '${dir}/sources';; esac; done;;
  *download*) ${download};;
esac`,
  )
  // Its loader starts nothing, and says what the server would.
  await program(
    join(dir, 'dpkg'),
    `to="$3/usr/lib/x86_64-linux-gnu"; mkdir -p "$to"; to="$to/ld-linux-x86-64.so.2"
echo '#!/bin/sh' > "$to"; echo '${VALKEY}' >> "$to"; chmod +x "$to"`,
  )
  const osRelease = join(dir, 'os-release')
  await writeFile(osRelease, `ID=debian\nVERSION_CODENAME=bookworm\n`)
  return {
    dir,
    read: (name: string) => readFile(join(dir, name), 'utf8'),
    options: { env: { PATH: dir }, cache: join(dir, 'cache', 'valkey'), osRelease },
  }
}

describe.skipIf(process.platform === 'win32')('ensureValkey', () => {
  test('fetches it from the archive of the system’s own sources, says so first, and only once', async () => {
    const { read, options } = await debian()
    const told: string[] = []
    const onFetch = (what: string) => told.push(what)
    const found = await ensureValkey({ ...options, onFetch })
    expect(found).toEqual({
      flavour: 'Valkey',
      version: '8.0.1',
      path: join(options.cache, 'valkey-server'),
    })
    expect(await ensureValkey({ ...options, onFetch })).toEqual(found)
    expect(told).toEqual(['valkey-server and valkey-tools of trixie'])
    expect(await read('sources')).toMatch(
      /^deb \[signed-by=\S+\] http:\/\/archive\.test\/debian\/ trixie main\n$/,
    )
    for (const call of (await read('calls')).trim().split('\n').slice(1))
      for (const own of [
        'Dir::Etc::SourceList=',
        'Dir::Etc::SourceParts=-',
        'Dir::State::Lists=',
        'Dir::Cache=',
      ])
        expect(call).toContain(own)
  })

  test('what another release left there is replaced', async () => {
    const { options } = await debian()
    await mkdir(join(options.cache, 'usr', 'bin'), { recursive: true })
    await program(join(options.cache, 'usr', 'bin', 'valkey-server'), VALKEY)
    expect(await ensureValkey(options)).toMatchObject({ path: join(options.cache, 'valkey-server') })
  })

  test('one that is there is taken: named, then of PATH', async () => {
    const { dir, options } = await debian()
    const named = join(dir, 'mine')
    await program(named, VALKEY)
    await program(join(dir, 'valkey-server'), VALKEY)
    expect(await ensureValkey(options)).toMatchObject({ path: join(dir, 'valkey-server') })
    const env = { ...options.env, SHARDQ_VALKEY_PATH: named }
    expect(await ensureValkey({ ...options, env })).toMatchObject({ path: named })
  })

  test.each([
    ['Redis', 'echo "Redis server v=7.4.0 sha=0:0"', /mine is Redis 7\.4\.0; install Valkey 8/],
    ['too old', 'echo "Valkey server v=7.2.5 sha=0:0"', /Valkey 7\.2\.5.*install Valkey 8/s],
    [
      'a library missing',
      'echo "liblzf.so.1: not found" >&2; exit 127',
      /liblzf\.so\.1: not found.*SHARDQ_VALKEY_PATH/s,
    ],
  ])('a named one that will not do (%s) is an error, not a fetch', async (_, script, message) => {
    const { dir, options } = await debian()
    await program(join(dir, 'mine'), script)
    const env = { ...options.env, SHARDQ_VALKEY_PATH: join(dir, 'mine') }
    await expect(ensureValkey({ ...options, env })).rejects.toThrow(message)
  })

  test('what fails is told, with what to do', async () => {
    const { options } = await debian({ download: 'echo "E: no such package" >&2; exit 100' })
    await expect(ensureValkey(options)).rejects.toThrow(/E: no such package.*set SHARDQ_VALKEY_PATH/s)
    const elsewhere = { ...options, osRelease: '/dev/null' }
    await expect(ensureValkey(elsewhere)).rejects.toThrow(/another system.*set SHARDQ_VALKEY_PATH/s)
  })
})
