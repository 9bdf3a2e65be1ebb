// The API: writes to Kafka, reads through Redis from MongoDB. No authentication, no limits, no schema.
import express from 'express'
import Redis from 'ioredis'
import { Kafka } from 'kafkajs'
import { MongoClient } from 'mongodb'

import { Batcher } from './batcher.js'
import { settings } from './settings.js'

const producer = new Kafka(settings.kafka).producer({
  idempotent: true,
  maxInFlightRequests: 1,
  allowAutoTopicCreation: false
})
const redis = new Redis(settings.redis, { enableAutoPipelining: true })
const client = new MongoClient(settings.mongodb, { ...settings.pool, writeConcern: { w: 'majority' } })
await Promise.all([producer.connect(), client.connect()])
const database = client.db(settings.database)
const batcher = new Batcher(producer, settings.topic, settings.lingerMs, settings.mostInBatch)

const app = express()
app.disable('x-powered-by')
app.disable('etag')

// Kafka gets the bytes that came, once they are known to be JSON: nothing is written out again.
const json = express.json({
  limit: settings.bodyLimit,
  verify: (request, _response, bytes) => { request.bytes = bytes }
})
const ndjson = express.text({ limit: settings.bulkLimit, type: 'application/x-ndjson' })

app.put('/v1/:collection/records/:id', json, async (request, response) => {
  const { collection, id } = request.params
  await batcher.send({ key: `${collection}/${id}`, value: request.bytes })
  response.status(202).json({ id })
})

app.post('/v1/:collection/records/bulk', ndjson, async (request, response) => {
  const collection = request.params.collection
  const messages = []
  for (const line of request.body.split('\n')) {
    if (line === '') continue
    const { id, data } = JSON.parse(line)
    messages.push({ key: `${collection}/${id}`, value: JSON.stringify(data) })
  }
  await producer.send({ topic: settings.topic, acks: -1, messages })
  response.json({ accepted: messages.length })
})

app.get('/v1/:collection/records/:id', async (request, response) => {
  const { collection, id } = request.params
  const key = `${collection}/${id}`
  const fresh = request.headers['cache-control'] === 'no-cache'
  let body = fresh ? null : await redis.get(key)
  if (body === null) {
    const found = await database.collection(collection).findOne({ _id: id })
    if (found === null) {
      response.status(404).json({ error: 'not found' })
      return
    }
    body = JSON.stringify({ id, data: found.data })
    if (!fresh) await redis.set(key, body, 'EX', settings.cacheSeconds)
  }
  response.type('json').send(body)
})

app.get('/v1/:collection/records', async (request, response) => {
  const found = await database
    .collection(request.params.collection)
    .find({ 'data.site': request.query.site })
    .sort({ 'data.time': -1 })
    .limit(Number(request.query.limit))
    .toArray()
  response.json({ records: found.map(one => ({ id: one._id, data: one.data })) })
})

const server = app.listen(settings.port, '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${server.address().port} `)
})
server.keepAliveTimeout = 75_000
