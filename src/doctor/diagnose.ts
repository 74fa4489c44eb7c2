import { type CheckReport, checkCluster } from '../check/run.js'
import { type Address, nameOf } from '../cluster/link.js'
import { type Explanation, explain } from './symptoms/index.js'
import { type Where, type WhereOptions, whereToLook } from './where.js'

export interface DoctorOptions extends WhereOptions {
  /** An error message, as it was met. */
  readonly error?: string
  /** As in `checkCluster`, default 1,000. */
  readonly settleMs?: number
  /** As in `checkCluster`, default 1,000. */
  readonly timeoutMs?: number
}

/** One thing on the way from nothing to a cluster that works. */
export interface Step {
  readonly step: string
  readonly ok: boolean
  readonly seen: string
}

export interface DoctorReport extends CheckReport {
  /** What the error message means; empty where there was none, or none that is known. */
  readonly explanations: readonly Explanation[]
  readonly steps: readonly Step[]
}

/**
 * From whatever there is, a configuration, an address, an error message, or nothing, to what is wrong: is the
 * configuration valid, does each address lead to a server that answers, is it a cluster, and what do all checks say.
 * Changes nothing, as `checkCluster` does not.
 * @throws InvalidOptionError for a data folder without a cluster
 */
export async function diagnose(options: DoctorOptions = {}): Promise<DoctorReport> {
  const where = await whereToLook(options)
  const explanations = options.error === undefined ? [] : explain(options.error)
  const report = await checkCluster(where.addresses, {
    ...where.access,
    ground: where.ground,
    ...(options.settleMs === undefined ? {} : { settleMs: options.settleMs }),
    ...(options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs }),
  })
  return { ...report, explanations, steps: stepsOf(where, report) }
}

function stepsOf({ source, addresses, configError }: Where, report: CheckReport): Step[] {
  const faults = configError?.faults.length ?? 0
  const answering = report.nodes.filter(({ answers }) => answers)
  const wrongMode = report.findings.some(({ check }) => check === 'wrong-mode')
  const members = answering.length > 1 ? `${answering.length} nodes answer` : 'one server answers'
  return [
    {
      step: 'configuration',
      ok: configError === undefined,
      seen: configError ? `${configError.source}: ${faults} wrong` : source,
    },
    ...addresses.map((address) => addressStep(address, report)),
    ...(answering.length === 0 ? [] : [{ step: 'mode', ok: !wrongMode, seen: members }]),
    {
      step: 'checks',
      ok: report.findings.length === 0,
      seen: `${report.checks.length} made, ${report.findings.length} with findings`,
    },
  ]
}

function addressStep(address: Address, { nodes, findings }: CheckReport): Step {
  const name = nameOf(address)
  const node = nodes.find((each) => each.name === name)
  if (node?.answers) return { step: name, ok: true, seen: `answers: ${node.server}, ${node.role}` }
  const found = findings.find((finding) => finding.nodes.includes(name))
  // A second name of a node that is listed under its own.
  return found ? { step: name, ok: false, seen: found.check } : { step: name, ok: true, seen: 'answers' }
}
