import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { FORMS, Runner } from '../../helpers/hostile-commands.js'
import { feedFiles, feedServers, INPUTS } from '../../helpers/hostile-inputs.js'
import { tempDir } from '../../helpers/temp-dir.js'

let runners: readonly Runner[] = []
beforeAll(async () => {
  runners = await Promise.all(FORMS.map((form) => Runner.start(form)))
})
afterAll(() => {
  for (const runner of runners) runner.stop()
})

/** Of a server: `CONFIG GET`. */
const isAsked = (input: string) => /^[A-Z_]+( [A-Z]+)?$/.test(input)

describe.each(Object.entries(INPUTS))('shardq %s', (name, inputs) => {
  it('reads what the table says, and carries nothing of it out', async () => {
    const cwd = await tempDir()
    const fed = [
      await feedServers(name, runners, cwd),
      await feedServers(name, runners, cwd, { held: true }),
      await feedFiles(name, runners, cwd),
    ]
    expect(fed.flatMap(({ faults }) => faults)).toEqual([])
    const read = new Set(fed.flatMap((each) => [...each.inputs]))
    expect([...read].sort()).toEqual([...new Set(inputs)].sort())
  })

  const asked = [...new Set(inputs)].filter(isAsked)
  it.runIf(asked.length > 0).each(asked)(
    'carries nothing out of an error in answer to %s',
    async (refused) => {
      const { faults } = await feedServers(name, runners, await tempDir(), { refuses: [refused], most: 1 })
      expect(faults).toEqual([])
    },
  )
})
