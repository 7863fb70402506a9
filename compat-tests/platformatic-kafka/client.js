// @platformatic/kafka without a group of its own: Producer, Consumer at given offsets, Admin.
'use strict'

const assert = require('node:assert')
const fs = require('node:fs')
const { randomBytes } = require('node:crypto')
const { Admin, Consumer, MessagesStreamFallbackModes, MessagesStreamModes, Producer } = require('@platformatic/kafka')
const { Skip, checkConfigs, run } = require('../harness/cases.js')

const { COMPAT_BOOTSTRAP: BOOTSTRAP, COMPAT_STRICT_BOOTSTRAP: STRICT_BOOTSTRAP, COMPAT_PREFIX: PREFIX } = process.env
const CODECS = ['none', 'gzip', 'snappy', 'lz4', 'zstd']
const DEADLINE_MS = 30000
const TOPIC = 2
const SET = 0

const blob = text => (text === null ? undefined : Buffer.from(text, 'base64'))
const records = JSON.parse(fs.readFileSync(process.env.COMPAT_RECORDS, 'utf8')).map(r => ({
  key: blob(r.key), value: blob(r.value), timestamp: BigInt(r.timestamp),
  headers: r.headers.map(([name, text]) => [Buffer.from(name), blob(text)]),
}))

const common = (broker = BOOTSTRAP) =>
  ({ clientId: 'compat', bootstrapBrokers: [broker], timeout: 10000, retries: 20, retryDelay: 100, autocreateTopics: true })

async function using(client, body) {
  try {
    return await body(client)
  } finally {
    await client.close()
  }
}

// Its headers are a map by identity of the key, so that equal names can stand side by side.
const messages = (topic, list) => list.map(r => ({ ...r, topic, partition: 0, headers: new Map(r.headers) }))

// Sends in order to partition 0, in two requests; the first offset of each must be right.
async function produce(topic, list, { broker, ...settings } = {}) {
  await using(new Producer({ ...common(broker), ...settings, acks: -1 }), async producer => {
    const half = Math.ceil(list.length / 2)
    for (const [first, part] of [[0, list.slice(0, half)], [half, list.slice(half)]]) {
      if (part.length === 0) continue
      const { offsets } = await producer.send({ messages: messages(topic, part) })
      assert.strictEqual(offsets[0].offset, BigInt(first), 'acknowledged offset')
    }
  })
}

// `count` records from an offset.
async function consume(topic, start, count, isolationLevel = 1) {
  const consumer = new Consumer({ ...common(), groupId: `${PREFIX}-unused`, maxWaitTime: 500 })
  return using(consumer, async () => {
    const stream = await consumer.consume({
      topics: [topic], mode: MessagesStreamModes.MANUAL, offsets: [{ topic, partition: 0, offset: BigInt(start) }],
      isolationLevel, autocommit: false,
    })
    const found = []
    const late = setTimeout(() => stream.destroy(new Error(`${found.length} of ${count} records in time`)), DEADLINE_MS)
    try {
      for await (const message of stream) {
        found.push(message)
        if (found.length === count) break
      }
    } finally {
      clearTimeout(late)
      await stream.close()
    }
    return found
  })
}

const same = (found, wanted) => (found ?? null) === (wanted ?? null) || Buffer.compare(found, wanted) === 0

function compare(found, expected, first = 0) {
  assert.strictEqual(found.length, expected.length, `${found.length} records read, ${expected.length} written`)
  found.forEach((message, i) => {
    const wanted = expected[i]
    assert.strictEqual(message.offset, BigInt(first + i), 'offsets must follow each other')
    assert.ok(same(message.key, wanted.key), `record ${i}: key differs`)
    assert.ok(same(message.value, wanted.value), `record ${i}: value differs`)
    assert.strictEqual(message.timestamp, wanted.timestamp, `record ${i}: timestamp`)
    assert.strictEqual(message.headerEntries.length, wanted.headers.length, `record ${i}: headers`)
    message.headerEntries.forEach(([name, value], j) => {
      assert.ok(same(name, wanted.headers[j][0]) && same(value, wanted.headers[j][1]), `record ${i}: header ${j} differs`)
    })
  })
}

const roundTrip = codec => async () => {
  const topic = `${PREFIX}-${codec}`
  await produce(topic, records, { compression: codec })
  compare(await consume(topic, 0, records.length, 1), records)
  compare(await consume(topic, 0, records.length, 0), records)
}

async function offsetsByTimestamp() {
  const topic = `${PREFIX}-none`
  await using(new Consumer({ ...common(), groupId: `${PREFIX}-unused` }), async consumer => {
    const offsetAt = async timestamp => (await consumer.listOffsets({ topics: [topic], timestamp })).get(topic)[0]
    for (const index of [0, 2, 100, records.length - 2]) {
      const at = records[index].timestamp
      assert.strictEqual(await offsetAt(at), BigInt(index))
      assert.strictEqual(await offsetAt(at + 1n), index + 2 < records.length ? BigInt(index + 2) : -1n)
    }
    assert.strictEqual(await offsetAt(-2n), 0n)
    assert.strictEqual(await offsetAt(-1n), BigInt(records.length))
  })
}

async function seek() {
  for (const start of [1, 150, 299]) {
    compare(await consume(`${PREFIX}-lz4`, start, records.length - start), records.slice(start), start)
  }
}

const one = size => [{ key: Buffer.from('k'), value: randomBytes(size), timestamp: records[0].timestamp, headers: [] }]

async function largeRecord() {
  const topic = `${PREFIX}-large`
  const list = one(900000)
  await produce(topic, list)
  compare(await consume(topic, 0, 1), list)
}

// The name of the broker's error, wherever the client has put it.
async function expectError(id, body) {
  try {
    await body()
  } catch (error) {
    const all = []
    const walk = e => { if (e) { all.push(e.apiId ?? e.message); for (const inner of e.errors ?? []) walk(inner); walk(e.cause) } }
    walk(error)
    assert.ok(all.includes(id), `expected ${id}, got ${all.join(', ')}`)
    return
  }
  throw new Error(`expected ${id}, but it succeeded`)
}

const tooLargeRecord = () => expectError('MESSAGE_TOO_LARGE', () => produce(`${PREFIX}-too-large`, one(1500000)))

async function idempotence() {
  const topic = `${PREFIX}-idempotent`
  const many = Array.from({ length: 1000 }, (_, i) =>
    ({ key: undefined, value: Buffer.from(String(i)), timestamp: records[0].timestamp, headers: [] }))
  await using(new Producer({ ...common(), idempotent: true }), async producer => {
    for (let i = 0; i < many.length; i += 20) {
      const { offsets } = await producer.send({ messages: messages(topic, many.slice(i, i + 20)) })
      assert.strictEqual(offsets[0].offset, BigInt(i))
    }
  })
  compare(await consume(topic, 0, many.length), many)
}

// The first records of a topic as a member of a group reads them, given to `body` with the member while it lives.
async function withMember(groupId, topic, count, body) {
  await using(new Consumer({ ...common(), groupId, maxWaitTime: 100 }), async consumer => {
    const stream = await consumer.consume({
      topics: [topic], mode: MessagesStreamModes.COMMITTED, fallbackMode: MessagesStreamFallbackModes.EARLIEST, autocommit: false,
    })
    const found = []
    for await (const message of stream) {
      if (found.push(message) === count) break
    }
    await body(consumer, found)
    await stream.close()
  })
}

// Committed records and offsets are read, aborted records only by who reads uncommitted.
async function transactions() {
  const [topic, groupId] = [`${PREFIX}-transactions`, `${PREFIX}-group`]
  const run = word => Array.from({ length: 10 }, (_, i) =>
    ({ key: Buffer.from(word), value: Buffer.from(String(i)), timestamp: records[0].timestamp, headers: [] }))
  const [aborted, committed] = [run('aborted'), run('committed')]
  await withMember(groupId, `${PREFIX}-none`, 9, (consumer, read) =>
    using(new Producer({ ...common(), idempotent: true, transactionalId: topic }), async producer => {
      const send = async (list, message) => {
        const transaction = await producer.beginTransaction()
        await transaction.addConsumer(consumer)
        await transaction.send({ messages: messages(topic, list) })
        await transaction.addOffset(message)
        return transaction
      }
      await (await send(aborted, read[8])).abort()
      await (await send(committed, read[6])).commit()
    }))
  // A marker follows the ten records of each.
  compare(await consume(topic, 0, 10, 1), committed, 11)
  const all = await consume(topic, 0, 20, 0)
  compare(all.slice(0, 10), aborted)
  compare(all.slice(10), committed, 11)
  await using(new Admin(common()), async admin => {
    const [group] = await admin.listConsumerGroupOffsets({ groups: [groupId], requireStable: true })
    assert.deepStrictEqual(group.topics.map(one => one.partitions.map(p => p.committedOffset)), [[7n]])
  })
}

async function createTopic() {
  const topic = `${PREFIX}-created`
  const wanted = { topics: [topic], partitions: 3, replicas: 1, configs: [{ name: 'max.message.bytes', value: '2000' }] }
  await using(new Admin({ ...common(), retries: 2 }), async admin => {
    const [created] = await admin.createTopics(wanted)
    assert.strictEqual(created.partitions, 3)
    await expectError('TOPIC_ALREADY_EXISTS', () => admin.createTopics(wanted))
    await expectError('MESSAGE_TOO_LARGE', () => produce(topic, one(3000)))
    await admin.deleteTopics({ topics: [topic] })
    assert.ok(!(await admin.listTopics()).includes(topic), 'a deleted topic is listed')
    await expectError('UNKNOWN_TOPIC_OR_PARTITION', () => admin.deleteTopics({ topics: [topic] }))
  })
}

async function topicConfigs() {
  const topic = `${PREFIX}-configured`
  const resource = { resourceType: TOPIC, resourceName: topic }
  await using(new Admin({ ...common(), retries: 2 }), async admin => {
    await admin.createTopics({ topics: [topic], partitions: 1, replicas: 1, configs: [{ name: 'retention.ms', value: '3600000' }] })
    const current = async () =>
      (await admin.describeConfigs({ resources: [{ ...resource, configurationKeys: ['retention.ms'] }] }))[0].configs.map(c => c.value)
    const alter = value => admin.incrementalAlterConfigs(
      { resources: [{ ...resource, configs: [{ name: 'retention.ms', configOperation: SET, value }] }], validateOnly: false })
    await checkConfigs(current, alter)
    await expectError('INVALID_CONFIG', () => alter('many'))
    await admin.deleteTopics({ topics: [topic] })
  })
}

async function unknownTopic() {
  if (!STRICT_BOOTSTRAP) throw new Skip('needs a second broker with auto.create.topics.enable=false')
  const topic = `${PREFIX}-unknown`
  // Its own words for the broker's UNKNOWN_TOPIC_OR_PARTITION.
  await expectError(`Unknown topic ${topic}.`, () => produce(topic, one(1), { broker: STRICT_BOOTSTRAP, retries: 2 }))
}

async function main() {
  await run({
    ...Object.fromEntries(CODECS.map(codec => [`round-trip-${codec}`, roundTrip(codec)])),
    'offsets-by-timestamp': offsetsByTimestamp, seek, 'large-record': largeRecord,
    'too-large-record': tooLargeRecord, idempotence, transactions, 'create-topic': createTopic,
    'topic-configs': topicConfigs, 'unknown-topic': unknownTopic,
  })
}

main()
