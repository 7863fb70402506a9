// What the JavaScript clients share with each other: running cases and reporting them to `ProgramSuite`.
'use strict'

/** The message says why a case does not apply. */
class Skip extends Error {}

/** Runs `{ name: async function }` in order, a line of JSON each. */
async function run(cases) {
  for (const [name, body] of Object.entries(cases)) {
    const report = { case: name, outcome: 'passed', reason: '' }
    try {
      await body()
    } catch (error) {
      report.outcome = error instanceof Skip ? 'skipped' : 'failed'
      report.reason = String(error.message).slice(0, 500)
      console.error(error)
    }
    console.log(JSON.stringify(report))
  }
}

module.exports = { Skip, run }
