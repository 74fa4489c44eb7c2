import type { Hostile } from './hostile-node.js'

/** A line of CLUSTER NODES has fields between spaces, and a status or an error is a line: more is no reply at all. */
const line = (text: string) => text.replaceAll(/[\r\n]/g, '')
const field = (text: string) => text.replaceAll(/\s/g, '')

/** What a server can say, by the place in which it says it. */
export const LIES: Readonly<Record<string, (text: string) => Hostile>> = {
  host: (text) => ({ host: field(text) }),
  id: (text) => ({ id: field(text) }),
  'host name': (text) => ({ aux: field(text) }),
  'name for people': (text) => ({ aux: `a.example,nodename=${field(text)},shard-id=${field(text)}` }),
  flags: (text) => ({ flags: field(text) }),
  'link state': (text) => ({ linkState: field(text) }),
  'open slots': (text) => ({ slots: `[93->-${field(text)}] [94-<-${field(text)}]` }),
  slots: (text) => ({ slots: field(text) }),
  error: (text) => ({ error: `ERR ${line(text)}` }),
  'kind of error': (text) => ({ error: line(text) }),
  redirection: (text) => ({ error: `MOVED 1 ${field(text)}:7000` }),
  refusal: (text) => ({
    error: `NOPERM User ${line(text)} has no permissions to run the '${line(text)}' command`,
  }),
  status: (text) => ({ status: line(text) }),
  replies: (text) => ({ reply: text }),
  values: (text) => ({ value: text }),
}
