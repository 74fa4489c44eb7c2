/** Figures as people read them. */

/** `12,345` */
export const count = (value: number) => value.toLocaleString('en-US')

/** `1.5 s` */
export const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`

/** `512 B`, `1.5 MB`: in steps of 1024. */
export function bytes(value: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  const step = value < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(value) / 10))
  const scaled = value / 1024 ** step
  return `${step === 0 || scaled >= 100 ? Math.round(scaled) : scaled.toFixed(1)} ${units[step]}`
}

/** How long ago, the longer the rougher: `1.5 s`, `12 min`, `3 d`. */
export function age(ms: number): string {
  const past = Math.max(0, ms) / 1_000
  if (past < 100) return seconds(Math.max(0, ms))
  if (past < 6_000) return `${Math.round(past / 60)} min`
  if (past < 172_800) return `${Math.round(past / 3_600)} h`
  return `${Math.round(past / 86_400)} d`
}
