// What the programs of this folder share: the task, and reading with the callback API, which needs no group's protocol.
'use strict'

const assert = require('node:assert')
const fs = require('node:fs')
const { CODES, KafkaConsumer } = require('@confluentinc/kafka-javascript')

const { COMPAT_BOOTSTRAP: BOOTSTRAP, COMPAT_STRICT_BOOTSTRAP: STRICT_BOOTSTRAP, COMPAT_PREFIX: PREFIX } = process.env
const CODECS = ['none', 'gzip', 'snappy', 'lz4', 'zstd']
const DEADLINE_MS = 60000

// An empty buffer that has an address: one without is sent as null.
const EMPTY = Buffer.from('x').subarray(1)
const blob = text => (text === null ? null : text === '' ? EMPTY : Buffer.from(text, 'base64'))

// Headers are a list of objects with one name each. It refuses to send a null value; empty ones stand in.
const fixture = () => JSON.parse(fs.readFileSync(process.env.COMPAT_RECORDS, 'utf8')).map(r => ({
  key: blob(r.key), value: blob(r.value), timestamp: r.timestamp,
  headers: r.headers.map(([name, text]) => ({ [name]: blob(text) ?? EMPTY })),
}))

// A callback method as a promise.
const called = (client, method, ...rest) => new Promise((resolve, reject) =>
  client[method](...rest, (error, result) => (error ? reject(error) : resolve(result))))

// A client of the promises while it is connected.
async function using(client, body) {
  await client.connect()
  try {
    return await body(client)
  } finally {
    await client.disconnect()
  }
}

// The body must fail with one of these errors of librdkafka.
async function expectError(names, body) {
  try {
    await body()
  } catch (error) {
    assert.ok(names.some(name => CODES.ERRORS[name] === error.code), `expected ${names}, got ${error.code}: ${error}`)
    return
  }
  throw new Error(`expected ${names}, but it succeeded`)
}

// The records of partitions 0 ... `partitions` - 1 from `start` to their ends, in the order in which they came.
async function readAll(topic, { start = 0, partitions = 1, ...settings } = {}) {
  const consumer = new KafkaConsumer({
    'bootstrap.servers': BOOTSTRAP, 'group.id': `${PREFIX}-unused`, 'enable.auto.commit': false,
    'enable.partition.eof': true, 'auto.offset.reset': 'error', ...settings,
  })
  await called(consumer, 'connect', {})
  consumer.setDefaultConsumeTimeout(200)
  const ended = new Set()
  consumer.on('partition.eof', ({ partition }) => ended.add(partition))
  try {
    consumer.assign(Array.from({ length: partitions }, (_, partition) => ({ topic, partition, offset: start })))
    const found = []
    const deadline = Date.now() + DEADLINE_MS
    while (ended.size < partitions) {
      if (Date.now() > deadline) throw new Error(`no end after ${found.length} records`)
      found.push(...await called(consumer, 'consume', 100))
    }
    return found
  } finally {
    await called(consumer, 'disconnect')
  }
}

module.exports = { BOOTSTRAP, CODECS, DEADLINE_MS, PREFIX, STRICT_BOOTSTRAP, called, expectError, fixture, readAll, using }
