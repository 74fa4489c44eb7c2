/** Runs a program in a network, with process numbers and mounts, of its own: all of it ends with the program. */
import { spawn, spawnSync } from 'node:child_process'

/** A user who is not root becomes root in there, where the system lets users have namespaces of their own. */
const BECOME_ROOT = process.getuid?.() === 0 ? [] : ['--map-root-user']
// The kernel ends it with us, even if we are killed, and all that is in there with it.
const TIED_TO_US = ['--pdeathsig', 'KILL', 'unshare']
const UNSHARE = [
  ...TIED_TO_US,
  ...BECOME_ROOT,
  '--net',
  '--mount',
  '--pid',
  '--mount-proc',
  '--fork',
  '--kill-child',
]
// `ip netns` keeps names in /run/netns. In a /run of our own they vanish with us, whatever we die of.
const PRELUDE = 'mount -t tmpfs none /run && mkdir /run/netns && ip link set lo up'
const PROBE =
  'ip link add probe0 type bridge && ip netns add probe && ip link add probe1 type veth peer name probe2 netns probe'

/** Whether this system lets us: Linux with iproute2, and root or user namespaces. */
export function canHaveOwnNetwork() {
  if (process.platform !== 'linux') return false
  return (
    spawnSync('setpriv', [...UNSHARE, 'sh', '-c', `${PRELUDE} && ${PROBE}`], { stdio: 'ignore' }).status === 0
  )
}

/** SIGKILL ends all of it. The shell stays, as the process that takes up those whose parents have died. */
export function spawnInOwnNetwork(program, args, env, stdio = 'inherit') {
  return spawn('setpriv', [...UNSHARE, 'sh', '-c', `${PRELUDE} && "$@"; exit $?`, 'sh', program, ...args], {
    stdio,
    env: { ...env, SHARDQ_OWN_NETWORK: '1' },
  })
}
