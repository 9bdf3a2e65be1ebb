// What requests ask for at the same time goes to Kafka in one send. kafkajs has no linger of its own.

/**
 * Collects messages while a send is under way, and LINGER_MS more where none is; then sends them all.
 * An idempotent producer of kafkajs has one request in flight, so one send at a time costs nothing.
 */
export class Batcher {
  constructor(producer, topic, lingerMs, most) {
    this.producer = producer
    this.topic = topic
    this.lingerMs = lingerMs
    this.most = most
    this.waiting = []
    this.sending = false
    this.timer = null
  }

  /** Settles when the message is on all in-sync replicas. */
  send(message) {
    return new Promise((resolve, reject) => {
      this.waiting.push({ message, resolve, reject })
      if (this.sending) return
      if (this.waiting.length >= this.most || this.lingerMs === 0) this.#soon(0)
      else this.#soon(this.lingerMs)
    })
  }

  #soon(ms) {
    if (this.timer) return
    const flush = () => {
      this.timer = null
      this.#flush()
    }
    this.timer = ms === 0 ? setImmediate(flush) : setTimeout(flush, ms)
  }

  async #flush() {
    const batch = this.waiting.splice(0, this.most)
    if (batch.length === 0) return
    this.sending = true
    try {
      await this.producer.send({
        topic: this.topic,
        acks: -1,
        messages: batch.map(one => one.message)
      })
      for (const one of batch) one.resolve()
    } catch (error) {
      for (const one of batch) one.reject(error)
    } finally {
      this.sending = false
      if (this.waiting.length > 0) this.#soon(0)
    }
  }
}
