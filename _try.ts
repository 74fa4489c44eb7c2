import { startCluster, freePorts } from './src/cluster/index.js'
import { restoreCluster } from './src/cluster/backup/index.js'
for (const masters of [3,5]) {
const c = await startCluster({ ports: await freePorts(masters*2), masters, dataDir: '/tmp/bk/c' })
try { 
 const t=performance.now(); const r = await restoreCluster('/tmp/bk/out', c.seeds, {...c.access}); console.log(performance.now()-t, r.ms, r.keys, r.expired, r.files)
} finally { await c.stop({remove:true}) }
}
