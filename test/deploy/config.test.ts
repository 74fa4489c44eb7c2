import { describe, expect, test } from 'vitest'
import { tool } from './tools.js'

test('Prometheus takes its configuration', async () => {
  expect(await tool('promtool', 'check', 'config', 'prometheus/prometheus.yml')).toMatchObject({ code: 0 })
})

test('Alertmanager takes its configuration', async () => {
  expect(await tool('amtool', 'check-config', 'alertmanager/alertmanager.yml')).toMatchObject({ code: 0 })
})

describe('routing', () => {
  test.each([
    ['critical', 'pager'],
    ['warning', 'chat'],
    ['info', 'nobody'],
    ['', 'chat'], // somebody's own rule that says nothing of it
  ])('%s goes to %s', async (severity, receiver) => {
    const labels = ['alertname=RedisNodeDown', ...(severity ? [`severity=${severity}`] : [])]
    const file = '--config.file=alertmanager/alertmanager.yml'
    const { code, output } = await tool('amtool', 'config', 'routes', 'test', file, ...labels)
    expect(output.split('\n')).toContain(receiver)
    expect(code).toBe(0)
  })
})
