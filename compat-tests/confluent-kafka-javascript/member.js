// A group member of @confluentinc/kafka-javascript: the contract is in harness/member.py.
'use strict'

const { KafkaJS } = require('@confluentinc/kafka-javascript')

const { ErrorCodes, Kafka, PartitionAssigners, logLevel } = KafkaJS
const {
  MEMBER_BOOTSTRAP, MEMBER_TOPIC, MEMBER_GROUP, MEMBER_INSTANCE, MEMBER_PROTOCOL, MEMBER_SESSION_MS, MEMBER_HEARTBEAT_MS,
} = process.env
const topic = MEMBER_TOPIC

// With the consumer protocol the broker assigns and times.
const classic = MEMBER_PROTOCOL !== 'classic' ? {} : {
  sessionTimeout: Number(MEMBER_SESSION_MS), heartbeatInterval: Number(MEMBER_HEARTBEAT_MS),
  partitionAssigners: [PartitionAssigners.cooperativeSticky],
}
const kafka = new Kafka({ kafkaJS: { brokers: [MEMBER_BOOTSTRAP], logLevel: logLevel.NOTHING } })
const owned = new Set()
const consumer = kafka.consumer({
  kafkaJS: { groupId: MEMBER_GROUP, fromBeginning: true, autoCommit: false, maxWaitTimeInMs: 100, ...classic },
  'group.protocol': MEMBER_PROTOCOL,
  'reconnect.backoff.max.ms': 200,
  ...(MEMBER_INSTANCE ? { 'group.instance.id': MEMBER_INSTANCE } : {}),
  rebalance_cb: (error, assignment) => {
    const gains = error.code === ErrorCodes.ERR__ASSIGN_PARTITIONS
    const partitions = assignment.map(one => one.partition)
    console.log([gains ? 'assigned' : 'revoked', ...partitions].join(' '))
    for (const partition of partitions) gains ? owned.add(partition) : owned.delete(partition)
  },
})

async function eachBatch({ batch: { partition, messages }, resolveOffset }) {
  // It takes back partitions only after its workers have come to an end: what it has fetched before is not ours any more.
  if (!owned.has(partition)) return
  for (const message of messages) {
    console.log(`record ${partition} ${message.offset} ${message.value}`)
    resolveOffset(message.offset)
  }
  const offset = String(Number(messages.at(-1).offset) + 1)
  await consumer.commitOffsets([{ topic, partition, offset }]).catch(error => console.log(`commit: ${error.message}`))
}

async function main() {
  await consumer.connect()
  await consumer.subscribe({ topic })
  await consumer.run({ eachBatch, eachBatchAutoResolve: false })
}

process.on('SIGTERM', async () => {
  await consumer.disconnect()
  process.exit(0)
})
main().catch(error => {
  console.log(error)
  process.exit(1)
})
