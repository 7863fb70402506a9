// @confluentinc/kafka-javascript through its promises, the API that KafkaJS has. Its consumer always joins a group.
'use strict'

const assert = require('node:assert')
const { randomBytes } = require('node:crypto')
const { KafkaJS } = require('@confluentinc/kafka-javascript')
const { BOOTSTRAP, CODECS, DEADLINE_MS, PREFIX, STRICT_BOOTSTRAP, expectError, fixture, using } = require('./common')
const { Skip, run } = require('../harness/cases.js')

const { Kafka, logLevel } = KafkaJS
const kafkaAt = broker => new Kafka({ kafkaJS: { brokers: [broker], logLevel: logLevel.NOTHING } })
const kafka = kafkaAt(BOOTSTRAP)
let readers = 0

// Here headers are an object: equal names make a list, order among names is lost.
function headersOf(list) {
  const headers = {}
  for (const [name, value] of list.flatMap(Object.entries)) {
    headers[name] = name in headers ? [].concat(headers[name], [value]) : value
  }
  return headers
}

const records = fixture().map(r => ({ ...r, headers: headersOf(r.headers), timestamp: String(r.timestamp) }))
const plain = value => ({ key: null, value, headers: {}, timestamp: records[0].timestamp })

// Sends in order to partition 0; the offset of the first. `settings` are the library's own, or librdkafka's.
async function produce(topic, list, { client = kafka, compression = 'none', idempotent = false, ...settings } = {}) {
  return using(client.producer({ kafkaJS: { acks: -1, compression, idempotent }, 'linger.ms': 5, ...settings }), async producer => {
    // It changes the messages that it is given.
    const [{ baseOffset }] = await producer.send({ topic, messages: list.map(r => ({ ...r, partition: 0 })) })
    return Number(baseOffset)
  })
}

// `count` records from an offset, by a group of its own.
async function consume(topic, start, count, readUncommitted = false) {
  const groupId = `${PREFIX}-reader-${readers++}`
  const consumer = kafka.consumer({ kafkaJS: { groupId, fromBeginning: true, autoCommit: false, readUncommitted, maxWaitTimeInMs: 100 } })
  return using(consumer, async () => {
    const found = []
    await consumer.subscribe({ topic })
    if (start > 0) consumer.seek({ topic, partition: 0, offset: String(start) })
    await new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`${found.length} of ${count} records in time`)), DEADLINE_MS)
      const eachMessage = async ({ message }) => {
        if (found.push(message) >= count) resolve(clearTimeout(late))
      }
      consumer.run({ eachMessage }).catch(reject)
    })
    return found
  })
}

function compare(found, expected, first = 0) {
  assert.strictEqual(found.length, expected.length, `${found.length} records read, ${expected.length} written`)
  found.forEach((message, i) => {
    assert.strictEqual(Number(message.offset), first + i, 'offsets must follow each other')
    for (const field of ['key', 'value', 'timestamp']) {
      assert.deepStrictEqual(message[field], expected[i][field], `record ${i}: ${field} differs`)
    }
    assert.deepStrictEqual(message.headers ?? {}, expected[i].headers, `record ${i}: headers differ`)
  })
}

const roundTrip = compression => async () => {
  const topic = `${PREFIX}-${compression}`
  assert.strictEqual(await produce(topic, records, { compression }), 0)
  compare(await consume(topic, 0, records.length), records)
  compare(await consume(topic, 0, records.length, true), records)
}

const offsetsByTimestamp = () => using(kafka.admin(), async admin => {
  const topic = `${PREFIX}-none`
  const offsetAt = async at => Number((await admin.fetchTopicOffsetsByTimestamp(topic, at))[0].offset)
  for (const index of [0, 2, 100, records.length - 2]) {
    const at = Number(records[index].timestamp)
    assert.strictEqual(await offsetAt(at), index)
    // It answers the end of the log where nothing is so late.
    assert.strictEqual(await offsetAt(at + 1), index + 2)
  }
  const [{ low, high }] = await admin.fetchTopicOffsets(topic)
  assert.deepStrictEqual([low, high], ['0', String(records.length)])
})

async function seek() {
  for (const start of [1, 150, 299]) {
    compare(await consume(`${PREFIX}-lz4`, start, records.length - start), records.slice(start), start)
  }
}

async function largeRecord() {
  const one = [plain(randomBytes(900000))]
  await produce(`${PREFIX}-large`, one)
  compare(await consume(`${PREFIX}-large`, 0, 1), one)
}

// The library's own limit is raised, so that the broker is asked.
const tooLargeRecord = () => expectError(['ERR_MSG_SIZE_TOO_LARGE'],
  () => produce(`${PREFIX}-too-large`, [plain(randomBytes(1500000))], { 'message.max.bytes': 4 << 20 }))

async function idempotence() {
  const topic = `${PREFIX}-idempotent`
  const many = Array.from({ length: 5000 }, (_, i) => plain(Buffer.from(String(i))))
  const settings = { idempotent: true, compression: 'lz4', 'batch.num.messages': 10 }
  assert.strictEqual(await produce(topic, many, settings), 0)
  assert.strictEqual(await produce(topic, many, settings), many.length)
  compare(await consume(topic, 0, 2 * many.length), [...many, ...many])
}

const createTopic = () => using(kafka.admin(), async admin => {
  const topic = `${PREFIX}-created`
  const wanted = { topic, numPartitions: 3, replicationFactor: 1, configEntries: [{ name: 'max.message.bytes', value: '2000' }] }
  assert.strictEqual(await admin.createTopics({ topics: [wanted] }), true)
  assert.strictEqual(await admin.createTopics({ topics: [wanted] }), false, 'created twice')
  const [{ partitions }] = await admin.fetchTopicMetadata({ topics: [topic] })
  assert.deepStrictEqual(partitions.map(p => p.partitionId), [0, 1, 2])
  await expectError(['ERR_MSG_SIZE_TOO_LARGE'], () => produce(topic, [plain(randomBytes(3000))]))
  await admin.deleteTopics({ topics: [topic] })
  assert.ok(!(await admin.listTopics()).includes(topic), 'a deleted topic is listed')
  await expectError(['ERR_UNKNOWN_TOPIC_OR_PART'], () => admin.deleteTopics({ topics: [topic] }))
})

async function unknownTopic() {
  if (!STRICT_BOOTSTRAP) throw new Skip('needs a second broker with auto.create.topics.enable=false')
  const settings = { 'message.timeout.ms': 8000, 'topic.metadata.propagation.max.ms': 1000 }
  await expectError(['ERR__UNKNOWN_TOPIC', 'ERR_UNKNOWN_TOPIC_OR_PART', 'ERR__UNKNOWN_PARTITION'],
    () => produce(`${PREFIX}-unknown`, [plain(Buffer.from('x'))], { client: kafkaAt(STRICT_BOOTSTRAP), ...settings }))
}

// Low watermarks rise with a delete, and reading from the beginning starts there.
const deleteRecords = () => using(kafka.admin(), async admin => {
  const topic = `${PREFIX}-shortened`
  const many = Array.from({ length: 10 }, (_, i) => plain(Buffer.from(String(i))))
  await produce(topic, many)
  const [deleted] = await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '4' }] })
  assert.strictEqual(Number(deleted.lowWatermark), 4)
  const [{ low, high }] = await admin.fetchTopicOffsets(topic)
  assert.deepStrictEqual([low, high], ['4', '10'])
  compare(await consume(topic, 0, 6), many.slice(4), 4)
  await assert.rejects(admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '11' }] }))
})

// A group commits, is described while it lives and when it is empty, and is deleted.
const groupAdmin = () => using(kafka.admin(), async admin => {
  const [topic, groupId] = [`${PREFIX}-lz4`, `${PREFIX}-described`]
  const groupOf = async () => (await admin.describeGroups([groupId])).groups[0]
  const { ConsumerGroupStates } = KafkaJS
  await using(kafka.consumer({ kafkaJS: { groupId, fromBeginning: true, autoCommit: false } }), async consumer => {
    await consumer.subscribe({ topic })
    await new Promise((resolve, reject) => consumer.run({ eachMessage: async () => resolve() }).catch(reject))
    await consumer.commitOffsets([{ topic, partition: 0, offset: '7', metadata: 'note' }])
    const live = await groupOf()
    assert.deepStrictEqual([live.state, live.members.length], [ConsumerGroupStates.STABLE, 1])
    await assert.rejects(admin.deleteGroups([groupId]), 'a group with a member was deleted')
  })
  const { groups } = await admin.listGroups({ matchConsumerGroupStates: [ConsumerGroupStates.EMPTY] })
  assert.ok(groups.some(one => one.groupId === groupId), `${groupId} is not listed as empty`)
  const [{ partitions }] = await admin.fetchOffsets({ groupId, topics: [topic] })
  const committed = partitions.find(p => p.partition === 0)
  assert.deepStrictEqual([committed.offset, committed.metadata], ['7', 'note'])
  await admin.deleteGroups([groupId])
  assert.strictEqual((await groupOf()).state, ConsumerGroupStates.DEAD)
})

run({
  ...Object.fromEntries(CODECS.map(codec => [`round-trip-${codec}`, roundTrip(codec)])),
  'offsets-by-timestamp': offsetsByTimestamp, seek, 'large-record': largeRecord, 'too-large-record': tooLargeRecord,
  idempotence, 'create-topic': createTopic, 'unknown-topic': unknownTopic, 'delete-records': deleteRecords,
  'group-admin': groupAdmin,
})
