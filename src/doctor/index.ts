/** From a symptom to its cause, and to the command that mends it. */
export { type DoctorOptions, type DoctorReport, diagnose, type Step } from './diagnose.js'
export { type Explanation, explain } from './symptoms/index.js'
