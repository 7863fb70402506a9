// The transactional producer of @confluentinc/kafka-javascript through its promises.
'use strict'

const assert = require('node:assert')
const { KafkaJS } = require('@confluentinc/kafka-javascript')
const { BOOTSTRAP, DEADLINE_MS, PREFIX, readAll, using } = require('./common')
const { run } = require('../harness/cases.js')

const { ErrorCodes, Kafka, logLevel } = KafkaJS
const kafka = new Kafka({ kafkaJS: { brokers: [BOOTSTRAP], logLevel: logLevel.NOTHING } })

async function topicOf(name) {
  const topic = `${PREFIX}-js-txn-${name}`
  await using(kafka.admin(), admin => admin.createTopics({ topics: [{ topic, numPartitions: 2, replicationFactor: 1 }] }))
  return topic
}

async function producerOf(name, settings = {}) {
  const producer = kafka.producer({ kafkaJS: { transactionalId: `${PREFIX}-js-${name}`, ...settings } })
  await producer.connect()
  return producer
}

const send = (producer, topic, ...values) =>
  producer.send({ topic, messages: values.map((value, partition) => ({ value, partition })) })

// All values of both partitions, sorted.
async function values(topic, isolation) {
  const found = await readAll(topic, { partitions: 2, 'isolation.level': isolation })
  return found.map(message => String(message.value)).sort()
}

async function commitAndAbort() {
  const topic = await topicOf('commit')
  const producer = await producerOf('commit')
  const every = []
  for (let i = 0; i < 20; i++) {
    const number = String(i).padStart(2, '0')
    const transaction = await producer.transaction()
    await send(transaction, topic, `${number}-0`, `${number}-1`)
    every.push(`${number}-0`, `${number}-1`)
    await (i % 3 ? transaction.commit() : transaction.abort())
  }
  await producer.disconnect()
  assert.deepStrictEqual(await values(topic, 'read_uncommitted'), every)
  assert.deepStrictEqual(await values(topic, 'read_committed'), every.filter(value => Number(value.slice(0, 2)) % 3))
}

async function sendOffsets() {
  const topic = await topicOf('offsets')
  const producer = await producerOf('offsets')
  const consumer = kafka.consumer({ kafkaJS: { groupId: `${PREFIX}-js-offsets`, autoCommit: false } })
  await consumer.connect()
  for (const [offset, commits, expected] of [[5, true, 5], [9, false, 5], [11, true, 11]]) {
    const transaction = await producer.transaction()
    await transaction.sendOffsets({ consumer, topics: [{ topic, partitions: [{ partition: 0, offset: String(offset) }] }] })
    await (commits ? transaction.commit() : transaction.abort())
    const [found] = await consumer.committed([{ topic, partition: 0 }], 30000)
    assert.strictEqual(Number(found.offset), expected)
  }
  await consumer.disconnect()
  await producer.disconnect()
}

async function fencing() {
  const topic = await topicOf('fencing')
  const zombie = await producerOf('fencing')
  await send(await zombie.transaction(), topic, 'zombie')
  const next = await producerOf('fencing')
  await assert.rejects(zombie.commit(), error => error.code === ErrorCodes.ERR__FENCED)
  await send(await next.transaction(), topic, 'new')
  await next.commit()
  await zombie.disconnect()
  await next.disconnect()
  assert.deepStrictEqual(await values(topic, 'read_committed'), ['new'])
}

async function timeout() {
  const topic = await topicOf('timeout')
  const slow = await producerOf('timeout', { transactionTimeout: 2000 })
  await send(await slow.transaction(), topic, 'late')
  // The marker is the second record. Apache Kafka looks for such transactions every ten seconds.
  const deadline = Date.now() + DEADLINE_MS
  await using(kafka.admin(), async admin => {
    while (Number((await admin.fetchTopicOffsets(topic)).find(p => p.partition === 0).high) < 2) {
      assert.ok(Date.now() < deadline, 'the transaction was not aborted')
    }
  })
  await assert.rejects(slow.commit(), 'a transaction was committed that had been aborted')
  await slow.disconnect()
  assert.deepStrictEqual(await values(topic, 'read_committed'), [])
}

run({ 'commit-and-abort': commitAndAbort, 'send-offsets': sendOffsets, fencing, timeout })
