// A group member of @platformatic/kafka: the contract is in harness/member.py.
const { Consumer, MessagesStreamFallbackModes, MessagesStreamModes } = require('@platformatic/kafka')

const { MEMBER_BOOTSTRAP, MEMBER_TOPIC, MEMBER_GROUP, MEMBER_PROTOCOL, MEMBER_SESSION_MS, MEMBER_HEARTBEAT_MS } = process.env

const timing = { sessionTimeout: Number(MEMBER_SESSION_MS), heartbeatInterval: Number(MEMBER_HEARTBEAT_MS) }
const consumer = new Consumer({
  clientId: 'member',
  groupId: MEMBER_GROUP,
  bootstrapBrokers: [MEMBER_BOOTSTRAP],
  groupProtocol: MEMBER_PROTOCOL,
  ...(MEMBER_PROTOCOL === 'classic' ? timing : {}),
  autocommit: false,
  maxWaitTime: 100,
  retries: 100,
  retryDelay: 100,
})

let owned = []
let stopping = false
// The next offset of each partition. Over a rebalance the stream keeps what it has fetched before, also of
// partitions that are another member's by now, and then reads again from what is committed.
const due = new Map()
const begun = new Set()
let ready

function tell() {
  console.log(['revoked', ...owned].join(' '))
  owned = (consumer.assignments ?? []).filter(one => one.topic === MEMBER_TOPIC).flatMap(one => one.partitions)
  console.log(['assigned', ...owned].join(' '))
  for (const partition of due.keys()) {
    if (!owned.includes(partition)) {
      due.delete(partition)
      begun.delete(partition)
    }
  }
  ready = start(owned.filter(partition => !due.has(partition)))
}

// What is new begins where the group has committed, or at 0.
async function start(partitions) {
  if (partitions.length === 0) return
  const committed = await consumer.listCommittedOffsets({ topics: [{ topic: MEMBER_TOPIC, partitions }] })
  for (const partition of partitions) {
    const offset = committed.get(MEMBER_TOPIC)[partition] ?? -1n
    if (owned.includes(partition)) due.set(partition, offset < 0n ? 0n : offset)
  }
}

consumer.on('consumer:group:join', tell)
consumer.on('error', error => console.log(`error: ${error.message}`))
consumer.on('consumer:heartbeat:error', ({ error }) => console.log(`heartbeat: ${error.message}`))

async function main() {
  const stream = await consumer.consume({
    topics: [MEMBER_TOPIC], mode: MessagesStreamModes.COMMITTED, fallbackMode: MessagesStreamFallbackModes.EARLIEST,
  })
  process.on('SIGTERM', async () => {
    stopping = true
    await stream.close()
    await consumer.close(true)
    process.exit(0)
  })
  for await (const message of stream) {
    await ready
    // The owner before may have committed once more since this member asked.
    if (message.offset !== due.get(message.partition) && !begun.has(message.partition)) await start([message.partition])
    if (message.offset !== due.get(message.partition)) continue
    due.set(message.partition, message.offset + 1n)
    begun.add(message.partition)
    console.log(`record ${message.partition} ${message.offset} ${message.value}`)
    await Promise.resolve(message.commit()).catch(error => console.log(`commit: ${error.message}`))
  }
}

main().catch(error => {
  if (stopping) return
  console.log(error)
  process.exit(1)
})
