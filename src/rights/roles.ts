import * as queue from './queue-uses.js'
import * as tools from './tool-uses.js'
import type { Use } from './use.js'

export interface Role {
  readonly about: string
  readonly uses: readonly Use[]
  /**
   * - `queues`: keys of queues, of all or of those that are named
   * - `queues read`: the same, to be read only, and the list of all queues
   * - `all`: every key
   * - `none`
   */
  readonly keys: 'queues' | 'queues read' | 'all' | 'none'
  /** Whether it uses the channels on which queues wake their consumers. */
  readonly channels: boolean
  /** Sent about the list of all queues, and nothing else of it. */
  readonly registers?: Use
}

const OPEN = [
  ...[queue.CONNECTING, queue.RUNNING_SCRIPTS, queue.READING_BY_SCRIPTS],
  ...[queue.OPENING, queue.CONFIRMING, queue.LOOKING],
]

export const ROLES = {
  producer: {
    about: 'enqueues tasks, and looks at its queues',
    uses: [...OPEN, queue.ENQUEUEING],
    registers: queue.REGISTERING,
    keys: 'queues',
    channels: true,
  },
  worker: {
    about: 'takes tasks and settles them, and looks at its queues',
    uses: [...OPEN, queue.WORKING],
    registers: queue.REGISTERING,
    keys: 'queues',
    channels: true,
  },
  manager: {
    about: 'pauses queues and tends their dead letters',
    uses: [...OPEN, queue.MANAGING],
    registers: queue.REGISTERING,
    keys: 'queues',
    channels: true,
  },
  metrics: {
    about: 'reads how nodes and queues are: shardq metrics, cluster status, queue list',
    uses: [tools.OBSERVING, queue.CONNECTING, queue.READING_BY_SCRIPTS, queue.SURVEYING],
    keys: 'queues read',
    channels: false,
  },
  operator: {
    about: 'runs every command of shardq; whoever may give rights may give themselves all of them',
    uses: [
      ...[...OPEN, queue.ENQUEUEING, queue.WORKING],
      ...[queue.MANAGING, queue.VERIFYING, queue.REGISTERING, queue.SURVEYING, queue.DELETING],
      ...[tools.OBSERVING, tools.CHECKING, tools.FORMING, tools.MENDING, tools.DRILLING, tools.GIVING_RIGHTS],
      ...[tools.OPERATING, tools.BACKING_UP, tools.RESTORING],
    ],
    keys: 'all',
    channels: true,
  },
  replica: {
    about: 'lets nodes replicate each other (masteruser)',
    uses: [tools.REPLICATING],
    keys: 'none',
    channels: false,
  },
} satisfies Record<string, Role>

export type RoleName = keyof typeof ROLES

export const ROLE_NAMES = Object.keys(ROLES) as readonly RoleName[]
