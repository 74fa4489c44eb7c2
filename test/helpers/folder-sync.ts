import { open } from 'node:fs/promises'
import { onTestFinished } from 'vitest'
import { tempDir } from './temp-dir.js'

/** Until the test is over `told` hears of each folder that is to be brought to disk, by its inode; what it throws is what the disk says. */
export async function onFolderSync(told: (ino: number) => Promise<unknown>): Promise<void> {
  const handle = await open(await tempDir(), 'r')
  const handles = Object.getPrototypeOf(handle) as typeof handle
  await handle.close()
  const { sync } = handles
  handles.sync = async function (this: typeof handle) {
    const found = await this.stat()
    if (found.isDirectory()) await told(found.ino)
    return sync.call(this)
  }
  onTestFinished(() => {
    handles.sync = sync
  })
}
