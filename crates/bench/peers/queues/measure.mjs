// node measure.mjs <graphile-worker|pg-boss> <default|tuned> <jobs>: has the jobs done by a handler that does nothing, and
// prints how many were and in how many seconds. The jobs are there beforehand. DATABASE_URL names an empty database.
import { makeWorkerUtils, run } from 'graphile-worker'
import { PgBoss } from 'pg-boss'

const [queue, settings, number] = process.argv.slice(2)
const connectionString = process.env.DATABASE_URL
const jobs = Number(number)
/** Longest measurement, in milliseconds: what is done by then counts. */
const LIMIT = 20_000
/** Jobs that one call adds. */
const CHUNK = 1000

/** Waits until all are done or the time is up. `begin` is called once everything is ready and resolves when it has begun. */
async function measure(begin, done) {
  const start = performance.now()
  const seconds = () => (performance.now() - start) / 1000
  await begin()
  while (done() < jobs && seconds() * 1000 < LIMIT) await new Promise((resolve) => setTimeout(resolve, 2))
  console.log(JSON.stringify({ jobs: done(), seconds: seconds() }))
}

async function graphile() {
  const utils = await makeWorkerUtils({ connectionString })
  await utils.migrate()
  for (let at = 0; at < jobs; at += CHUNK) {
    const specs = Array.from({ length: Math.min(CHUNK, jobs - at) }, (_, i) => ({ identifier: 'noop', payload: { id: at + i } }))
    await utils.addJobs(specs)
  }
  await utils.release()
  // As its page on performance has it.
  const tuned = {
    concurrentJobs: 24,
    maxPoolSize: 26,
    localQueue: { size: 500, refetchDelay: { durationMs: 10 } },
    completeJobBatchDelay: 0,
    failJobBatchDelay: 0,
  }
  const worker = settings === 'tuned' ? tuned : {}
  let runner
  let completed = 0
  await measure(
    async () => {
      runner = await run({
        preset: { worker: { connectionString, ...worker } },
        noHandleSignals: true,
        taskList: { noop: async () => {} },
      })
      runner.events.on('job:complete', () => void (completed += 1))
    },
    () => completed,
  )
  await runner.stop()
}

async function boss() {
  const boss = new PgBoss({ connectionString, max: settings === 'tuned' ? 10 : undefined })
  boss.on('error', (error) => console.error(error.message))
  await boss.start()
  await boss.createQueue('noop')
  for (let at = 0; at < jobs; at += CHUNK) {
    await boss.insert('noop', Array.from({ length: Math.min(CHUNK, jobs - at) }, (_, i) => ({ data: { id: at + i } })))
  }
  const tuned = { batchSize: 500, localConcurrency: 4, pollingIntervalSeconds: 0.5, burstWhenBatchFull: true }
  let handled = 0
  await measure(
    () =>
      boss.work('noop', settings === 'tuned' ? tuned : {}, async (batch) => {
        handled += batch.length
      }),
    () => handled,
  )
  await boss.stop({ graceful: true })
}

await { 'graphile-worker': graphile, 'pg-boss': boss }[queue]()
process.exit(0)
