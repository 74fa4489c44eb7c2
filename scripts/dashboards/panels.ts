import * as common from '@grafana/grafana-foundation-sdk/common'
import * as dashboard from '@grafana/grafana-foundation-sdk/dashboard'
import * as prometheus from '@grafana/grafana-foundation-sdk/prometheus'
import * as stat from '@grafana/grafana-foundation-sdk/stat'
import * as statetimeline from '@grafana/grafana-foundation-sdk/statetimeline'
import * as timeseries from '@grafana/grafana-foundation-sdk/timeseries'

/** The data source is a choice on the dashboard, so that it fits any Grafana that it is put into. */
const SOURCE = { type: 'prometheus', uid: '$datasource' } as const

/** A query, and what its lines are called: by labels, as in `{{instance}}`. */
export type Query = readonly [expr: string, legend: string]

/** From which value on which colour; the first value is the lowest there is. */
export type Steps = readonly (readonly [from: number | null, color: 'green' | 'orange' | 'red'])[]

/** 0 is fine, everything above is not. */
export const NONE: Steps = [
  [null, 'green'],
  [1, 'red'],
]

interface Look {
  /** A unit of Grafana's: `bytes`, `s`, `percentunit`, `ops`. Default: a plain number. */
  readonly unit?: string
  readonly description?: string
  readonly max?: number
  /** Width, of 24. */
  readonly span?: number
}

function queries(exprs: readonly Query[], instant: boolean): prometheus.DataqueryBuilder[] {
  return exprs.map(([expr, legend], index) => {
    const query = new prometheus.DataqueryBuilder()
      .expr(expr)
      .legendFormat(legend)
      .refId(String.fromCharCode(65 + index))
      .editorMode(prometheus.QueryEditorMode.Code)
    return instant ? query.instant() : query.range()
  })
}

const thresholds = (steps: Steps) =>
  new dashboard.ThresholdsConfigBuilder()
    .mode(dashboard.ThresholdsMode.Absolute)
    .steps(steps.map(([value, color]) => ({ value, color })))

/** What a value is called, and its colour. */
const words = (by: Readonly<Record<string, readonly [text: string, color: string]>>) => [
  {
    type: dashboard.MappingType.ValueToText as const,
    options: Object.fromEntries(
      Object.entries(by).map(([value, [text, color]], index) => [value, { text, color, index }]),
    ),
  },
]

export interface StatLook extends Look {
  readonly steps?: Steps
  readonly words?: Readonly<Record<string, readonly [text: string, color: string]>>
}

/** One figure, as it is now. */
export function figure(title: string, expr: string, look: StatLook = {}): stat.PanelBuilder {
  const panel = new stat.PanelBuilder()
    .title(title)
    .datasource(SOURCE)
    .targets(queries([[expr, '']], true))
    .span(look.span ?? 3)
    .height(4)
    .graphMode(common.BigValueGraphMode.None)
    .colorMode(common.BigValueColorMode.Value)
    .reduceOptions(new common.ReduceDataOptionsBuilder().calcs(['lastNotNull']))
    .thresholds(thresholds(look.steps ?? [[null, 'green']]))
    .description(look.description ?? '')
  if (look.unit) panel.unit(look.unit)
  if (look.words) panel.mappings(words(look.words))
  return panel
}

export interface CurveLook extends Look {
  readonly stacked?: boolean
  /** Drawn as dashed lines; see `Steps`. */
  readonly steps?: Steps
}

/** Lines over time. */
export function curves(
  title: string,
  exprs: readonly Query[],
  look: CurveLook = {},
): timeseries.PanelBuilder {
  const panel = new timeseries.PanelBuilder()
    .title(title)
    .datasource(SOURCE)
    .targets(queries(exprs, false))
    .span(look.span ?? 8)
    .height(8)
    .min(0)
    .fillOpacity(look.stacked ? 40 : 5)
    .showPoints(common.VisibilityMode.Never)
    .legend(
      new common.VizLegendOptionsBuilder()
        .displayMode(common.LegendDisplayMode.List)
        .placement(common.LegendPlacement.Bottom)
        .showLegend(true),
    )
    .tooltip(
      new common.VizTooltipOptionsBuilder()
        .mode(common.TooltipDisplayMode.Multi)
        .sort(common.SortOrder.Descending),
    )
    .description(look.description ?? '')
  if (look.unit) panel.unit(look.unit)
  if (look.max !== undefined) panel.max(look.max)
  if (look.stacked) panel.stacking(new common.StackingConfigBuilder().mode(common.StackingMode.Normal))
  if (look.steps) {
    panel
      .thresholds(thresholds(look.steps))
      .thresholdsStyle(
        new common.GraphThresholdsStyleConfigBuilder().mode(common.GraphThresholdsStyleMode.Dashed),
      )
  }
  return panel
}

/** A bar for each line, coloured by what it was at the time. */
export function states(
  title: string,
  query: Query,
  by: Readonly<Record<string, readonly [text: string, color: string]>>,
  look: Look = {},
): statetimeline.PanelBuilder {
  return new statetimeline.PanelBuilder()
    .title(title)
    .datasource(SOURCE)
    .targets(queries([query], false))
    .span(look.span ?? 8)
    .height(8)
    .showValue(common.VisibilityMode.Never)
    .mappings(words(by))
    .description(look.description ?? '')
}

/** A dashboard with the choice of a data source and, in it, of a cluster: the job that scrapes it. */
export function board(uid: string, title: string, description: string): dashboard.DashboardBuilder {
  return new dashboard.DashboardBuilder(title)
    .uid(uid)
    .description(description)
    .tags(['shardq'])
    .readonly()
    .timezone('browser')
    .time({ from: 'now-1h', to: 'now' })
    .refresh('30s')
    .tooltip(dashboard.DashboardCursorSync.Crosshair)
    .link(
      new dashboard.DashboardLinkBuilder('shardq')
        .type(dashboard.DashboardLinkType.Dashboards)
        .tags(['shardq'])
        .includeVars(true)
        .keepTime(true),
    )
    .annotation(
      new dashboard.AnnotationQueryBuilder()
        .name('Alerts')
        .datasource(SOURCE)
        .enable(true)
        .iconColor('red')
        .expr('ALERTS{alertstate="firing", job="$cluster"}')
        .titleFormat('{{alertname}}')
        .textFormat('{{instance}} {{queue}}'),
    )
    .withVariable(
      new dashboard.DatasourceVariableBuilder('datasource').label('Data source').type('prometheus'),
    )
    .withVariable(choice('cluster', 'Cluster', 'label_values(redis_up, job)'))
}

export const choice = (name: string, label: string, query: string) =>
  new dashboard.QueryVariableBuilder(name)
    .label(label)
    .datasource(SOURCE)
    .query({ query, refId: name })
    .refresh(dashboard.VariableRefresh.OnTimeRangeChanged)
    .sort(dashboard.VariableSort.AlphabeticalAsc)

export const row = (title: string) => new dashboard.RowBuilder(title)
