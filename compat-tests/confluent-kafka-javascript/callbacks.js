// @confluentinc/kafka-javascript through its callbacks, the API that node-rdkafka has.
'use strict'

const assert = require('node:assert')
const { randomBytes } = require('node:crypto')
const { AdminClient, KafkaConsumer, Producer } = require('@confluentinc/kafka-javascript')
const { BOOTSTRAP, CODECS, DEADLINE_MS, PREFIX, STRICT_BOOTSTRAP, called, expectError, fixture, readAll } = require('./common')
const { Skip, run } = require('../harness/cases.js')

const records = fixture()
const plain = value => ({ key: null, value, headers: [], timestamp: records[0].timestamp })

// Sends in order to partition 0; the offset that was reported of each, or the first error.
async function produce(topic, list, settings = {}) {
  const producer = new Producer({ 'bootstrap.servers': BOOTSTRAP, acks: 'all', 'linger.ms': 5, dr_cb: true, ...settings })
  const [offsets, errors] = [[], []]
  let left = list.length
  const reported = new Promise(resolve => producer.on('delivery-report', (error, report) => {
    // The place in the list comes back as the opaque. Reports may pass each other: flush takes them in another thread.
    error ? errors.push(error) : (offsets[report.opaque] = report.offset)
    if (--left === 0) resolve()
  }))
  await called(producer, 'connect', {})
  try {
    producer.setPollInterval(10)
    list.forEach((r, i) => producer.produce(topic, 0, r.value, r.key, r.timestamp, i, r.headers))
    // A flush ends before the last reports are here.
    await called(producer, 'flush', 30000)
    await reported
  } finally {
    await called(producer, 'disconnect')
  }
  if (errors.length > 0) throw errors[0]
  return offsets
}

function compare(found, expected, first = 0) {
  assert.strictEqual(found.length, expected.length, `${found.length} records read, ${expected.length} written`)
  found.forEach((message, i) => {
    assert.strictEqual(message.offset, first + i, 'offsets must follow each other')
    for (const field of ['key', 'value', 'timestamp']) {
      assert.deepStrictEqual(message[field], expected[i][field], `record ${i}: ${field} differs`)
    }
    assert.deepStrictEqual(message.headers ?? [], expected[i].headers, `record ${i}: headers differ`)
  })
}

function checkOffsets(offsets, count) {
  assert.strictEqual(offsets.length, count, 'acknowledged records')
  offsets.forEach((offset, i) => assert.strictEqual(offset, i, 'acknowledged offset'))
}

const roundTrip = codec => async () => {
  const topic = `${PREFIX}-callbacks-${codec}`
  checkOffsets(await produce(topic, records, { 'compression.codec': codec }), records.length)
  compare(await readAll(topic), records)
  compare(await readAll(topic, { 'isolation.level': 'read_uncommitted' }), records)
}

async function offsetsByTimestamp() {
  const topic = `${PREFIX}-callbacks-none`
  const consumer = new KafkaConsumer({ 'bootstrap.servers': BOOTSTRAP, 'group.id': `${PREFIX}-unused` })
  await called(consumer, 'connect', {})
  try {
    const offsetAt = async at => (await called(consumer, 'offsetsForTimes', [{ topic, partition: 0, offset: at }], 15000))[0].offset
    for (const index of [0, 2, 100, records.length - 2]) {
      const at = records[index].timestamp
      assert.strictEqual(await offsetAt(at), index)
      const later = await offsetAt(at + 1)
      if (index + 2 < records.length) assert.strictEqual(later, index + 2)
      // Nothing is so late: librdkafka's OFFSET_END.
      else assert.strictEqual(later, -1)
    }
    const { lowOffset, highOffset } = await called(consumer, 'queryWatermarkOffsets', topic, 0, 15000)
    assert.deepStrictEqual([lowOffset, highOffset], [0, records.length])
  } finally {
    await called(consumer, 'disconnect')
  }
}

async function seek() {
  const topic = `${PREFIX}-callbacks-lz4`
  for (const start of [1, 150, 299, 300]) {
    compare(await readAll(topic, { start }), records.slice(start), start)
  }
  await expectError(['ERR_OFFSET_OUT_OF_RANGE', 'ERR__AUTO_OFFSET_RESET'], () => readAll(topic, { start: 301 }))
}

async function largeRecord() {
  const topic = `${PREFIX}-callbacks-large`
  const one = [plain(randomBytes(900000))]
  await produce(topic, one)
  compare(await readAll(topic), one)
}

const tooLargeRecord = () => expectError(['ERR_MSG_SIZE_TOO_LARGE'],
  () => produce(`${PREFIX}-callbacks-too-large`, [plain(randomBytes(1500000))], { 'message.max.bytes': 4 << 20 }))

async function idempotence() {
  const topic = `${PREFIX}-callbacks-idempotent`
  const many = Array.from({ length: 5000 }, (_, i) => plain(Buffer.from(String(i))))
  const settings = { 'enable.idempotence': true, 'batch.num.messages': 10, 'compression.codec': 'lz4' }
  checkOffsets(await produce(topic, many, settings), many.length)
  compare(await readAll(topic), many)
}

// Apache Kafka answers before its metadata tells of the new partitions.
async function grown(admin, topic, wanted) {
  const deadline = Date.now() + DEADLINE_MS
  let count
  do {
    const [{ partitions }] = await called(admin, 'describeTopics', [topic], { timeout: 15000 })
    count = partitions.length
  } while (count !== wanted && Date.now() < deadline)
  assert.strictEqual(count, wanted, 'partitions')
}

async function createTopic() {
  const topic = `${PREFIX}-callbacks-created`
  const wanted = { topic, num_partitions: 3, replication_factor: 1, config: { 'max.message.bytes': '2000' } }
  const admin = AdminClient.create({ 'bootstrap.servers': BOOTSTRAP })
  try {
    await called(admin, 'createTopic', wanted, 15000)
    await expectError(['ERR_TOPIC_ALREADY_EXISTS'], () => called(admin, 'createTopic', wanted, 15000))
    await called(admin, 'createPartitions', topic, 5, 15000)
    await expectError(['ERR_INVALID_PARTITIONS'], () => called(admin, 'createPartitions', topic, 4, 15000))
    await grown(admin, topic, 5)
    await expectError(['ERR_MSG_SIZE_TOO_LARGE'], () => produce(topic, [plain(randomBytes(3000))]))
    await called(admin, 'deleteTopic', topic, 15000)
    assert.ok(!(await called(admin, 'listTopics', { timeout: 15000 })).includes(topic), 'a deleted topic is listed')
    await expectError(['ERR_UNKNOWN_TOPIC_OR_PART'], () => called(admin, 'deleteTopic', topic, 15000))
  } finally {
    admin.disconnect()
  }
}

async function unknownTopic() {
  if (!STRICT_BOOTSTRAP) throw new Skip('needs a second broker with auto.create.topics.enable=false')
  const settings = { 'bootstrap.servers': STRICT_BOOTSTRAP, 'message.timeout.ms': 8000, 'topic.metadata.propagation.max.ms': 1000 }
  await expectError(['ERR__UNKNOWN_TOPIC', 'ERR_UNKNOWN_TOPIC_OR_PART', 'ERR__UNKNOWN_PARTITION'],
    () => produce(`${PREFIX}-callbacks-unknown`, [plain(Buffer.from('x'))], settings))
}

run({
  ...Object.fromEntries(CODECS.map(codec => [`round-trip-${codec}`, roundTrip(codec)])),
  'offsets-by-timestamp': offsetsByTimestamp, seek, 'large-record': largeRecord, 'too-large-record': tooLargeRecord,
  idempotence, 'create-topic': createTopic, 'unknown-topic': unknownTopic,
})
