/** Nodes that join a cluster and leave it, while it serves. How it behaves stands in docs/growing.md. */
export { type AddOptions, type AddReport, type AddStep, addNodes, type NodeToAdd, rolesFor } from './add.js'
export { type AddLocalOptions, addLocalNodes } from './add-local.js'
export { type ForgottenNode, leaveOutForgotten } from './forgotten.js'
export { planRemoval } from './plan-removal.js'
export type { PlannedRemoval, RemoveOptions, RemoveReport, RemoveStep } from './remove.js'
export { planLocalRemoval, type RemoveLocalOptions } from './remove-local.js'
