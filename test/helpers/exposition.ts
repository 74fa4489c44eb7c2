/** What an endpoint for Prometheus says, as far as its text format is used here. */
export class Exposition {
  /** Name of the metric -> its type. */
  readonly types = new Map<string, string>()
  readonly #samples: { name: string; labels: Readonly<Record<string, string>>; value: number }[] = []

  constructor(text: string) {
    for (const line of text.split('\n')) {
      const type = /^# TYPE (\S+) (\S+)$/.exec(line)
      if (type?.[1] && type[2]) this.types.set(type[1], type[2])
      if (line === '' || line.startsWith('#')) continue
      const sample = /^(\w+)(?:\{(.*)\})? (\S+)$/s.exec(line)
      if (!sample) throw new Error(`not a line of a metric: ${line}`)
      const [, name = '', labels = '', value] = sample
      const pairs = [...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, key, text]) => [key, text])
      this.#samples.push({ name, labels: Object.fromEntries(pairs), value: Number(value) })
    }
  }

  static async of(url: string): Promise<Exposition> {
    const response = await fetch(`${url}/metrics`)
    if (response.status !== 200) throw new Error(`/metrics answers ${response.status}`)
    return new Exposition(await response.text())
  }

  /** All samples of this name whose labels include these. */
  all(name: string, labels: Readonly<Record<string, string>> = {}) {
    return this.#samples.filter(
      (sample) =>
        sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
    )
  }

  values(name: string, labels?: Readonly<Record<string, string>>): number[] {
    return this.all(name, labels).map(({ value }) => value)
  }

  /** The sum of all that match; undefined where none does. */
  value(name: string, labels?: Readonly<Record<string, string>>): number | undefined {
    const values = this.values(name, labels)
    return values.length === 0 ? undefined : values.reduce((sum, value) => sum + value, 0)
  }
}
