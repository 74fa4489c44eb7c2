import { InvalidArgumentError } from 'commander'
import type { Address, NewNode } from '../cluster/index.js'
import { addressFrom, hostProblem } from '../connection/host.js'

/** Parses a whole number of at least `least`, for commander. */
export function wholeNumber(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < least) {
      throw new InvalidArgumentError(`expected a whole number, ${least} or more`)
    }
    return value
  }
}

/** Parses `HOST:PORT`; an IPv6 host stands in brackets, or as servers write it. */
export function hostPort(text: string): Address {
  const address = addressFrom(text)
  if (
    address === undefined ||
    address.port < 1 ||
    address.port > 65_535 ||
    hostProblem(address.host) !== undefined
  ) {
    throw new InvalidArgumentError('expected HOST:PORT, such as 127.0.0.1:7000')
  }
  return address
}

/** Parses `HOST:PORT,HOST:PORT@BUSPORT,...`, for an option that may be repeated. */
export function nodeList(text: string, before: readonly NewNode[] = []): NewNode[] {
  const nodes = text.split(',').map((item) => {
    const [, address = '', busPort] = /^(.*?)(?:@(\d+))?$/.exec(item.trim()) ?? []
    return { ...hostPort(address), ...(busPort === undefined ? {} : { busPort: Number(busPort) }) }
  })
  return [...before, ...nodes]
}

/** For an option that may be repeated. */
export const collect = (value: string, before: readonly string[] = []) => [...before, value]
