// A group member of KafkaJS: the contract is in harness/member.py.
const { Kafka, logLevel } = require('kafkajs')

const { MEMBER_BOOTSTRAP, MEMBER_TOPIC, MEMBER_GROUP, MEMBER_SESSION_MS, MEMBER_HEARTBEAT_MS } = process.env

const retry = { initialRetryTime: 100, maxRetryTime: 500, retries: 100 }
const kafka = new Kafka({ brokers: [MEMBER_BOOTSTRAP], logLevel: logLevel.NOTHING, retry })
const consumer = kafka.consumer({
  groupId: MEMBER_GROUP,
  sessionTimeout: Number(MEMBER_SESSION_MS),
  heartbeatInterval: Number(MEMBER_HEARTBEAT_MS),
  maxWaitTimeInMs: 100,
})

let owned = []

consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
  console.log(['revoked', ...owned].join(' '))
  owned = payload.memberAssignment[MEMBER_TOPIC] ?? []
  console.log(['assigned', ...owned].join(' '))
})
consumer.on(consumer.events.CRASH, ({ payload }) => console.log(`crash: ${payload.error.message}`))

async function eachBatch({ batch, resolveOffset, heartbeat }) {
  for (const message of batch.messages) {
    console.log(`record ${batch.partition} ${message.offset} ${message.value}`)
    resolveOffset(message.offset)
  }
  await heartbeat()
}

async function main() {
  await consumer.connect()
  await consumer.subscribe({ topic: MEMBER_TOPIC, fromBeginning: true })
  await consumer.run({ eachBatch, autoCommit: true, autoCommitInterval: 100 })
}

process.on('SIGTERM', async () => {
  await consumer.disconnect()
  process.exit(0)
})
main().catch((error) => {
  console.log(error)
  process.exit(1)
})
