import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** What a backup says of itself, with `text` wherever a name or a time may be. Whole as far as it can be seen without its snapshots. */
export function hostileManifest(text: string) {
  const node = { id: text, host: text, port: 1 }
  return {
    ...{ format: 'shardq-backup', version: 2, id: text, madeBy: text, startedAt: text, endedAt: text },
    server: { flavour: 'Redis', version: text },
    epoch: { before: 1, after: 1 },
    shards: [
      {
        ...{
          file: 'shard-0.rdb',
          node,
          slots: [[0, 16_383]],
          bytes: 1,
          sha256: text,
          rdbVersion: 10,
          keys: 0,
        },
        ...{ expiring: 0, checksummed: true, askedAt: text, begunAt: text, endedAt: text },
      },
    ],
    nodes: [{ ...node, role: 'master', masterId: text, answered: true }],
    settings: { [text]: text, ['__proto__']: text },
    settingsThatDiffer: { [text]: { [text]: text } },
    users: null,
    warnings: [text],
  }
}

/** With the checksum that fits. */
export async function writeManifest(folder: string, content: string): Promise<void> {
  const sum = createHash('sha256').update(content).digest('hex')
  await writeFile(join(folder, 'backup.json'), content)
  await writeFile(join(folder, 'backup.json.sha256'), `${sum}  backup.json\n`)
}
