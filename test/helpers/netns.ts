import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Set by scripts/chaos.mjs in the process that it starts in a network namespace of its own. */
export const ownNetwork = () => process.env.SHARDQ_OWN_NETWORK === '1'

const BRIDGE = 'bridge0'
/** Where hosts are put that are to reach each other and nobody else. */
const ISLAND = 'bridge1'
/** Where this process sits. */
export const HUB_ADDRESS = '10.77.0.254'
const BITS = 24
const INSIDE = '10.77.'
const OUTSIDE = '10.78.'

export interface Host {
  readonly name: string
  readonly address: string
}

/**
 * A network that exists only in the namespaces of this process: hosts on one bridge, each a namespace with a cable
 * that can be pulled. This process sits on the bridge itself. Nothing of it has to be removed: the namespaces end with
 * the last process in them, and their names lie in a folder that only we see.
 */
export class Network {
  readonly #hosts = new Map<string, Host>()
  #onIsland: string[] = []

  static async create(): Promise<Network> {
    await ip('link', 'add', BRIDGE, 'type', 'bridge')
    await ip('address', 'add', `${HUB_ADDRESS}/${BITS}`, 'dev', BRIDGE)
    await ip('link', 'set', BRIDGE, 'up')
    return new Network()
  }

  async addHost(): Promise<Host> {
    const number = this.#hosts.size + 1
    const host: Host = { name: `host${number}`, address: `10.77.0.${number}` }
    await ip('netns', 'add', host.name)
    await ip('link', 'add', plugOf(host), 'type', 'veth', 'peer', 'name', 'eth0', 'netns', host.name)
    await ip('link', 'set', plugOf(host), 'master', BRIDGE, 'up')
    await ip('-n', host.name, 'address', 'add', `${host.address}/${BITS}`, 'dev', 'eth0')
    await ip('-n', host.name, 'link', 'set', 'eth0', 'up')
    // What runs on the host reaches its own address over the loopback, also while the cable is pulled.
    await ip('-n', host.name, 'link', 'set', 'lo', 'up')
    this.#hosts.set(host.address, host)
    return host
  }

  /** The command that is put before another one to run it on the host. It becomes that one: its pid is the same. */
  inside(address: string): readonly string[] {
    return ['ip', 'netns', 'exec', this.#hostAt(address).name]
  }

  /** Gives a host another address, as a pod gets one when it comes back. */
  async move(from: string, to: string): Promise<void> {
    const host = this.#hostAt(from)
    await ip('-n', host.name, 'address', 'del', `${from}/${BITS}`, 'dev', 'eth0')
    await ip('-n', host.name, 'address', 'add', `${to}/${BITS}`, 'dev', 'eth0')
    this.#hosts.delete(from)
    this.#hosts.set(to, { ...host, address: to })
  }

  /**
   * Puts this process behind address translation, as a client of a hosted cluster is: it reaches hosts by other addresses than
   * those by which they call each other, and by those no more.
   * @returns what to connect to in place of what is announced, by host
   */
  async translate(): Promise<ReadonlyMap<string, string>> {
    const outside = new Map<string, string>()
    for (const { name, address } of this.#hosts.values()) {
      const to = address.replace(INSIDE, OUTSIDE)
      await ip('-n', name, 'address', 'add', `${to}/${BITS}`, 'dev', 'eth0')
      outside.set(address, to)
    }
    await ip('address', 'add', `${HUB_ADDRESS.replace(INSIDE, OUTSIDE)}/${BITS}`, 'dev', BRIDGE)
    await ip('address', 'del', `${HUB_ADDRESS}/${BITS}`, 'dev', BRIDGE)
    return outside
  }

  /** Runs a command of `ip` on the host. */
  async ip(address: string, ...args: string[]): Promise<void> {
    await ip('-n', this.#hostAt(address).name, ...args)
  }

  /** Runs a program on the host. @throws when it ends with another code than 0 */
  async run(address: string, ...command: string[]): Promise<void> {
    const [program = '', ...args] = [...this.inside(address), ...command]
    await run(program, args)
  }

  /** Pulls the cable at the bridge: packets vanish both ways, and nobody is told. */
  async cut(address: string): Promise<void> {
    await ip('link', 'set', plugOf(this.#hostAt(address)), 'down')
  }

  async mend(address: string): Promise<void> {
    await ip('link', 'set', plugOf(this.#hostAt(address)), 'up')
  }

  /** These hosts reach each other and nobody else, until `join`. This process stays with the others. */
  async split(addresses: readonly string[]): Promise<void> {
    if (this.#onIsland.length > 0) throw new Error('the network is split already')
    await ip('link', 'add', ISLAND, 'type', 'bridge')
    await ip('link', 'set', ISLAND, 'up')
    for (const address of addresses) {
      this.#onIsland.push(address)
      await ip('link', 'set', plugOf(this.#hostAt(address)), 'master', ISLAND)
    }
  }

  async join(): Promise<void> {
    for (const address of this.#onIsland)
      await ip('link', 'set', plugOf(this.#hostAt(address)), 'master', BRIDGE)
    if (this.#onIsland.length > 0) await ip('link', 'del', ISLAND)
    this.#onIsland = []
  }

  /** The host hears the other one, and what it says to it vanishes. */
  async mute(address: string, to: string): Promise<void> {
    await ip('-n', this.#hostAt(address).name, 'route', 'add', 'blackhole', `${to}/32`)
  }

  async unmute(address: string, to: string): Promise<void> {
    await ip('-n', this.#hostAt(address).name, 'route', 'del', 'blackhole', `${to}/32`)
  }

  #hostAt(address: string): Host {
    const host = this.#hosts.get(address)
    if (!host) throw new RangeError(`the network has no host ${address}`)
    return host
  }
}

const plugOf = ({ name }: Host) => `to-${name}`

async function ip(...args: string[]): Promise<void> {
  await run('ip', args)
}
