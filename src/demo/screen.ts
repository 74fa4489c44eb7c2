import { setTimeout as sleep } from 'node:timers/promises'
import { createLogUpdate } from 'log-update'
import pc from 'picocolors'
import type { Colors } from 'picocolors/types.js'
import { markedColours, shownLine } from '../colours.js'
import { type Progress, renderLine, renderLive } from './view.js'

/** Where the demo shows what happens. */
export interface Screen {
  readonly colors: Colors
  /** Milliseconds between two calls of `progress` that make sense here. */
  readonly intervalMs: number
  /** Something worth a line of its own, which stays. */
  note(text: string): void
  /** What was found out, in the end. */
  lines(texts: readonly string[]): void
  progress(progress: Progress): void
  /** Ends the live view: what follows is printed below it. Safe to call twice. */
  end(): void
}

export function createScreen(kind: 'live' | 'lines' | 'silent', stream: NodeJS.WriteStream): Screen {
  if (kind === 'silent') {
    return { colors: markedColours(false), intervalMs: 1_000, note() {}, lines() {}, progress() {}, end() {} }
  }
  if (kind === 'lines') {
    const note = (text: string) => void stream.write(`${shownLine(text, false)}\n`)
    return {
      colors: markedColours(false),
      intervalMs: 1_000,
      note,
      lines: (texts) => texts.forEach(note),
      progress: (progress) => note(renderLine(progress)),
      end() {},
    }
  }
  const live = createLogUpdate(stream)
  const coloured = pc.isColorSupported
  const colors = markedColours(coloured)
  return {
    colors,
    intervalMs: 100,
    note(text) {
      live.clear()
      stream.write(`${shownLine(text, coloured)}\n`)
    },
    progress: (progress) =>
      live(
        renderLive(progress, colors)
          .map((line) => shownLine(line, coloured))
          .join('\n'),
      ),
    lines(texts) {
      for (const text of texts) stream.write(`${shownLine(text, coloured)}\n`)
    },
    end: () => live.done(),
  }
}

/** Shows the progress again and again until the signal fires, and once more then. */
export async function showProgress(
  screen: Screen,
  progress: () => Progress,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    screen.progress(progress())
    await sleep(screen.intervalMs, undefined, { signal }).catch(() => {})
  }
  screen.progress(progress())
}
