// From Kafka into MongoDB: each batch of a partition is one unordered bulk of upserts.
import { Kafka } from 'kafkajs'
import { MongoClient } from 'mongodb'

import { settings } from './settings.js'

const client = new MongoClient(settings.mongodb, { writeConcern: { w: 'majority' } })
await client.connect()
const database = client.db(settings.database)

const consumer = new Kafka(settings.kafka).consumer({
  groupId: settings.group,
  sessionTimeout: 60_000,
  maxBytesPerPartition: 4 * 1024 * 1024,
  maxBytes: 16 * 1024 * 1024
})
await consumer.connect()
await consumer.subscribe({ topics: [settings.topic], fromBeginning: true })
consumer.on(consumer.events.GROUP_JOIN, () => console.log('assigned'))
await consumer.run({
  eachBatchAutoResolve: true,
  partitionsConsumedConcurrently: 4,
  eachBatch: async ({ batch }) => {
    const newest = new Map()
    for (const message of batch.messages) newest.set(message.key.toString(), message.value)
    const writes = new Map()
    for (const [key, value] of newest) {
      const slash = key.indexOf('/')
      const collection = key.slice(0, slash)
      const filter = { _id: key.slice(slash + 1) }
      const replacement = { data: JSON.parse(value.toString()) }
      if (!writes.has(collection)) writes.set(collection, [])
      writes.get(collection).push({ replaceOne: { filter, replacement, upsert: true } })
    }
    for (const [collection, some] of writes) {
      await database.collection(collection).bulkWrite(some, { ordered: false })
    }
  }
})
