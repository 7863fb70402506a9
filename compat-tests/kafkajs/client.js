// KafkaJS 2.2.4. Its consumer always joins a group, so reading, but for that of transactions, goes through the same library's cluster and
// broker objects (Metadata, ListOffsets, Fetch and the record decoder are its own; only the group is left out).
'use strict'

const assert = require('node:assert')
const fs = require('node:fs')
const { randomBytes } = require('node:crypto')
const { Kafka, CompressionTypes, CompressionCodecs, ConfigResourceTypes, logLevel } = require('kafkajs')
const snappy = require('kafkajs-snappy')
const lz4 = require('lz4-napi')
const zstd = require('@bokuweb/zstd-wasm')
const { Skip, checkConfigs, run } = require('../harness/cases.js')

const { COMPAT_BOOTSTRAP: BOOTSTRAP, COMPAT_STRICT_BOOTSTRAP: STRICT_BOOTSTRAP, COMPAT_PREFIX: PREFIX } = process.env
const CODECS = { none: 'None', gzip: 'GZIP', snappy: 'Snappy', lz4: 'LZ4', zstd: 'ZSTD' }
const DEADLINE_MS = 30000

CompressionCodecs[CompressionTypes.Snappy] = snappy
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: async encoder => lz4.compressFrame(encoder.buffer),
  decompress: async buffer => lz4.decompressFrame(buffer),
})
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async encoder => Buffer.from(zstd.compress(encoder.buffer)),
  decompress: async buffer => Buffer.from(zstd.decompress(buffer)),
})

const kafkaAt = (broker, retries = 8) =>
  new Kafka({ brokers: [broker], logLevel: logLevel.NOTHING, retry: { retries, initialRetryTime: 100 } })
const kafka = kafkaAt(BOOTSTRAP)

const blob = text => (text === null ? null : Buffer.from(text, 'base64'))

// Its headers are an object: equal names make a list, order among names is lost, a null value cannot be sent.
function headersOf(pairs) {
  const headers = {}
  for (const [name, text] of pairs) {
    const value = blob(text) ?? Buffer.alloc(0)
    headers[name] = name in headers ? [].concat(headers[name], [value]) : value
  }
  return headers
}

const records = JSON.parse(fs.readFileSync(process.env.COMPAT_RECORDS, 'utf8')).map(r => ({
  key: blob(r.key), value: blob(r.value), headers: headersOf(r.headers), timestamp: String(r.timestamp),
}))

async function produce(topic, messages, { codec = 'none', client = kafka, ...settings } = {}) {
  const producer = client.producer({ createPartitioner: () => () => 0, ...settings })
  await producer.connect()
  try {
    const [result] = await producer.send({ topic, messages, acks: -1, compression: CompressionTypes[CODECS[codec]] })
    return Number(result.baseOffset)
  } finally {
    await producer.disconnect()
  }
}

// Everything from `start` up to `count` records, decoded by the library.
async function consume(topic, start, count, isolationLevel = 1) {
  const create = Object.getOwnPropertySymbols(kafka).find(s => s.description === 'private:Kafka:createCluster')
  const cluster = kafka[create]({ metadataMaxAge: 300000, isolationLevel })
  await cluster.connect()
  try {
    await cluster.addTargetTopic(topic)
    const [nodeId] = Object.keys(cluster.findLeaderForPartitions(topic, [0]))
    const broker = await cluster.findBroker({ nodeId })
    const found = []
    const deadline = Date.now() + DEADLINE_MS
    let offset = start
    while (found.length < count && Date.now() < deadline) {
      const { responses } = await broker.fetch({
        replicaId: -1, isolationLevel, maxWaitTime: 500, minBytes: 1, maxBytes: 10485760,
        topics: [{ topic, partitions: [{ partition: 0, currentLeaderEpoch: -1, fetchOffset: String(offset), maxBytes: 1048576 }] }],
      })
      const messages = responses.flatMap(r => r.partitions.flatMap(p => p.messages))
      for (const message of messages.filter(m => Number(m.offset) >= offset)) {
        assert.strictEqual(Number(message.offset), offset, 'offsets must follow each other')
        found.push(message)
        offset++
      }
    }
    return found
  } finally {
    await cluster.disconnect()
  }
}

function compare(found, expected) {
  assert.strictEqual(found.length, expected.length, `${found.length} records read, ${expected.length} written`)
  found.forEach((message, i) => {
    for (const field of ['key', 'value', 'headers', 'timestamp']) {
      assert.deepStrictEqual(message[field], expected[i][field], `record ${i}: ${field} differs`)
    }
  })
}

const roundTrip = codec => async () => {
  const topic = `${PREFIX}-${codec}`
  assert.strictEqual(await produce(topic, records, { codec }), 0)
  compare(await consume(topic, 0, records.length, 1), records)
  compare(await consume(topic, 0, records.length, 0), records)
}

async function withAdmin(body) {
  const admin = kafka.admin()
  await admin.connect()
  try {
    return await body(admin)
  } finally {
    await admin.disconnect()
  }
}

async function expectError(type, body) {
  try {
    await body()
  } catch (error) {
    const found = error.cause?.type ?? error.errors?.[0]?.type ?? error.type
    assert.strictEqual(found, type, `expected ${type}, got ${error}`)
    return
  }
  throw new Error(`expected ${type}, but it succeeded`)
}

const offsetsByTimestamp = () => withAdmin(async admin => {
  const offsetAt = async at => Number((await admin.fetchTopicOffsetsByTimestamp(`${PREFIX}-none`, at))[0].offset)
  for (const index of [0, 2, 100, records.length - 2]) {
    const at = Number(records[index].timestamp)
    assert.strictEqual(await offsetAt(at), index)
    // It answers the end of the log where nothing is so late.
    assert.strictEqual(await offsetAt(at + 1), index + 2)
  }
  const [{ low, high }] = await admin.fetchTopicOffsets(`${PREFIX}-none`)
  assert.deepStrictEqual([low, high], ['0', String(records.length)])
})

async function seek() {
  for (const start of [1, 150, 299]) {
    compare(await consume(`${PREFIX}-lz4`, start, records.length - start), records.slice(start))
  }
}

async function largeRecord() {
  const one = [{ key: null, value: randomBytes(900000), headers: {}, timestamp: records[0].timestamp }]
  await produce(`${PREFIX}-large`, one)
  compare(await consume(`${PREFIX}-large`, 0, 1), one)
}

const tooLargeRecord = () =>
  expectError('MESSAGE_TOO_LARGE', () => produce(`${PREFIX}-too-large`, [{ value: randomBytes(1500000) }]))

async function idempotence() {
  const topic = `${PREFIX}-idempotent`
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1, createPartitioner: () => () => 0 })
  await producer.connect()
  const many = Array.from({ length: 1000 }, (_, i) => ({ key: null, value: Buffer.from(String(i)), headers: {}, timestamp: records[0].timestamp }))
  for (let i = 0; i < many.length; i += 20) {
    const [{ baseOffset }] = await producer.send({ topic, messages: many.slice(i, i + 20) })
    assert.strictEqual(Number(baseOffset), i)
  }
  await producer.disconnect()
  compare(await consume(topic, 0, many.length), many)
}

// Asks again while the answer is an error that says so: a topic or a coordinator that is not there yet, as with Apache Kafka
// a moment after it was created.
async function patiently(ask) {
  const deadline = Date.now() + DEADLINE_MS
  for (;;) {
    try {
      return await ask()
    } catch (error) {
      if (!error.retriable || Date.now() > deadline) throw error
    }
  }
}

const createTopic = () => withAdmin(async admin => {
  const topic = `${PREFIX}-created`
  const wanted = { topic, numPartitions: 3, replicationFactor: 1, configEntries: [{ name: 'max.message.bytes', value: '2000' }] }
  assert.strictEqual(await admin.createTopics({ topics: [wanted], waitForLeaders: false }), true)
  assert.strictEqual(await admin.createTopics({ topics: [wanted] }), false, 'created twice')
  const { topics } = await patiently(() => admin.fetchTopicMetadata({ topics: [topic] }))
  assert.strictEqual(topics[0].partitions.length, 3)
  await expectError('MESSAGE_TOO_LARGE', () => produce(topic, [{ value: randomBytes(3000) }]))
  await admin.deleteTopics({ topics: [topic] })
  assert.ok(!(await admin.listTopics()).includes(topic), 'a deleted topic is listed')
})

const topicConfigs = () => withAdmin(async admin => {
  const [topic, name] = [`${PREFIX}-configured`, 'retention.ms']
  const configEntries = [{ name, value: '3600000' }]
  await admin.createTopics({ topics: [{ topic, numPartitions: 1, replicationFactor: 1, configEntries }], waitForLeaders: false })
  const resource = { type: ConfigResourceTypes.TOPIC, name: topic }
  const current = async () => {
    const { resources } = await admin.describeConfigs({ includeSynonyms: false, resources: [{ ...resource, configNames: [name] }] })
    return resources[0].configEntries.map(entry => entry.configValue)
  }
  const alter = value => admin.alterConfigs({ validateOnly: false, resources: [{ ...resource, configEntries: [{ name, value }] }] })
  await checkConfigs(current, alter)
  await expectError('INVALID_CONFIG', () => alter('many'))
  await admin.deleteTopics({ topics: [topic] })
})

// `count` records as a consumer in a group gets them, which leaves out what was aborted.
async function consumeInGroup(topic, count, readUncommitted) {
  const groupId = `${topic}-${readUncommitted}`
  const consumer = kafka.consumer({ groupId, readUncommitted, maxWaitTimeInMs: 100, rebalanceTimeout: 1000 })
  await consumer.connect()
  try {
    await consumer.subscribe({ topic, fromBeginning: true })
    const found = []
    await new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`${found.length} of ${count} records in time`)), DEADLINE_MS)
      const eachMessage = async ({ message }) => {
        if (found.push(message) >= count) resolve(clearTimeout(late))
      }
      consumer.run({ eachMessage }).catch(reject)
    })
    return found
  } finally {
    await consumer.disconnect()
  }
}

// Committed records and offsets are read, aborted records only by who reads uncommitted; a successor fences.
async function transactions() {
  const [topic, groupId] = [`${PREFIX}-transactions`, `${PREFIX}-group`]
  const messages = word => Array.from({ length: 10 }, (_, i) =>
    ({ key: Buffer.from(word), value: Buffer.from(String(i)), headers: {}, timestamp: records[0].timestamp }))
  const [aborted, committed] = [messages('aborted'), messages('committed')]
  const opened = async () => {
    const producer = kafka.producer({
      transactionalId: topic, maxInFlightRequests: 1, idempotent: true, createPartitioner: () => () => 0, retry: { retries: 5 },
    })
    await producer.connect()
    return producer
  }
  const send = async (producer, list, offset) => {
    const transaction = await producer.transaction()
    await transaction.send({ topic, messages: list })
    await transaction.sendOffsets({ consumerGroupId: groupId, topics: [{ topic, partitions: [{ partition: 0, offset }] }] })
    return transaction
  }
  // A transaction's offsets would not ask again.
  await withAdmin(admin => patiently(() => admin.fetchOffsets({ groupId, topics: [`${PREFIX}-none`] })))
  const first = await opened()
  await (await send(first, aborted, '9')).abort()
  await (await send(first, committed, '7')).commit()
  compare(await consumeInGroup(topic, 10, false), committed)
  compare(await consumeInGroup(topic, 20, true), [...aborted, ...committed])
  await withAdmin(async admin => {
    const [{ partitions }] = await admin.fetchOffsets({ groupId, topics: [topic] })
    assert.strictEqual(partitions[0].offset, '7')
  })
  const second = await opened()
  await (await send(second, committed, '8')).commit()
  await assert.rejects(async () => (await send(first, aborted, '9')).commit(), error => {
    const { type } = error.cause ?? error
    return ['INVALID_PRODUCER_EPOCH', 'PRODUCER_FENCED'].includes(type) || assert.fail(`expected a fenced producer, got ${error}`)
  })
  await Promise.all([first.disconnect(), second.disconnect()])
}

async function unknownTopic() {
  if (!STRICT_BOOTSTRAP) throw new Skip('needs a second broker with auto.create.topics.enable=false')
  const client = kafkaAt(STRICT_BOOTSTRAP, 2)
  await expectError('UNKNOWN_TOPIC_OR_PARTITION', () => produce(`${PREFIX}-unknown`, [{ value: 'x' }], { client, retry: { retries: 2 } }))
}

async function main() {
  await zstd.init()
  await run({
    ...Object.fromEntries(Object.keys(CODECS).map(codec => [`round-trip-${codec}`, roundTrip(codec)])),
    'offsets-by-timestamp': offsetsByTimestamp, seek, 'large-record': largeRecord,
    'too-large-record': tooLargeRecord, idempotence, transactions, 'create-topic': createTopic, 'topic-configs': topicConfigs,
    'unknown-topic': unknownTopic,
  })
}

main()
