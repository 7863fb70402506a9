// What the JavaScript clients share with each other: running cases and reporting them to `ProgramSuite`.
'use strict'

const assert = require('node:assert')

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

/**
 * `current()`: the values of retention.ms of a topic that was created with an hour; `alter(value)` changes it. A broker may
 * hear of either a moment after it was answered, as Apache Kafka's do.
 */
async function checkConfigs(current, alter) {
  const become = async wanted => {
    const deadline = Date.now() + 10000
    let found
    do found = await current().catch(error => [error.message])
    while (found[0] !== wanted && Date.now() < deadline)
    assert.deepStrictEqual(found, [wanted], 'retention.ms')
  }
  await become('3600000')
  await alter('7200000')
  await become('7200000')
}

module.exports = { Skip, checkConfigs, run }
