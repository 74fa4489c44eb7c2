import { Option } from 'commander'
import { wholeNumber } from './arguments.js'

export interface BigKeyFlags {
  readonly bigKeys?: boolean
  readonly bigKeyMb?: number
}

/** For what moves slots: both nodes stand still while a key goes over as a whole. */
export const bigKeysOption = () =>
  new Option('--big-keys', 'move keys of any size; both nodes stand still meanwhile')

export const bigKeyMbOption = () =>
  new Option('--big-key-mb <n>', 'size from which a key is not moved without it (default: 32)').argParser(
    wholeNumber(1),
  )

export const bigKeysOf = ({ bigKeys, bigKeyMb }: BigKeyFlags) => ({
  ...(bigKeys === undefined ? {} : { bigKeys }),
  ...(bigKeyMb === undefined ? {} : { bigKeyBytes: bigKeyMb * 1024 * 1024 }),
})

export interface UnprotectedFlag {
  readonly leaveUnprotected?: boolean
}

/** For what gives slots to masters. */
export const leaveUnprotectedOption = () =>
  new Option(
    '--leave-unprotected',
    'give slots also to a master that no replica follows, from one that has a replica',
  )

export const unprotectedOf = ({ leaveUnprotected }: UnprotectedFlag) =>
  leaveUnprotected === undefined ? {} : { leaveUnprotected }
