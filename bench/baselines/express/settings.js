// Where the servers are, and how they are used. The benchmark sets the addresses.
import { logLevel } from 'kafkajs'

const env = process.env

export const settings = {
  port: Number(env.PORT ?? 0),
  topic: env.TOPIC ?? 'records',
  group: `${env.TOPIC ?? 'records'}.store`,
  database: env.DATABASE ?? 'express',
  mongodb: env.MONGODB_URL,
  redis: env.REDIS_URL,
  cacheSeconds: Number(env.CACHE_SECONDS ?? 30),
  lingerMs: Number(env.LINGER_MS ?? 0),
  mostInBatch: 2000,
  bodyLimit: '1mb',
  bulkLimit: '16mb',
  kafka: {
    clientId: 'express',
    brokers: (env.KAFKA_BROKERS ?? '').split(','),
    logLevel: logLevel.ERROR
  },
  pool: { minPoolSize: 8, maxPoolSize: Number(env.POOL ?? 64) }
}
