export {
  type Account,
  account,
  parseAccount,
  setuserArgs,
  USUAL_ROLES,
  usualAccounts,
} from './account.js'
export { type AppliedNode, type ApplyOptions, applyUsers, type UsersReport } from './apply.js'
export { type ComparedUser, compareUsers, type UsersComparison } from './compare.js'
export { withEitherPassword } from './login.js'
export {
  inventPassword,
  keepPasswords,
  type PasswordSources,
  readPasswords,
  variableOf,
} from './passwords.js'
export type { Persisted } from './persist.js'
export { planUsers, type UserChange, type UsersOptions, type UsersPlan } from './plan.js'
