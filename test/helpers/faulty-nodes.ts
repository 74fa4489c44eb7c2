import type { LinkOptions } from '../../src/cluster/link.js'
import { Nodes, type Party } from '../../src/cluster/move/index.js'

export interface Call {
  readonly at: Party
  /** `CLUSTER SETSLOT 1951 NODE 3c1f...` */
  readonly text: string
}

/** Links to nodes, with something that happens before or after a command: a node dies, a link breaks. */
export class FaultyNodes extends Nodes {
  constructor(
    access: LinkOptions,
    private readonly faults: {
      before?: (call: Call) => Promise<unknown> | undefined
      after?: (call: Call) => Promise<unknown> | undefined
    },
  ) {
    super(access)
  }

  override async text(party: Party, command: string, ...args: (string | number)[]): Promise<string> {
    const call = { at: party, text: [command, ...args].join(' ') }
    await this.faults.before?.(call)
    const reply = await super.text(party, command, ...args)
    await this.faults.after?.(call)
    return reply
  }
}
