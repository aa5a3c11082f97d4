// Keeps every SurveySubmitted and ExchangeCompleted in SQLite: killed and started again, it loses and repeats none.
import { readFileSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { Kafka, type KafkaConfig, type KafkaMessage } from 'kafkajs'

const env = process.env
const store = new DatabaseSync(env.STORE ?? 'events.sqlite')
store.exec(`
  pragma journal_mode = wal;
  create table if not exists event (topic text, subject text, id text, data text, primary key (topic, subject, id));
  create table if not exists position (topic text, partition integer, next integer, primary key (topic, partition))`)
const read = store.prepare('replace into position values (?, ?, ?)')
const forget = store.prepare('delete from event where (topic, subject) = (?, ?)')
const keep = store.prepare(`insert or ignore into event select ?1, ?2, ?3, ?4
  where not exists (select 1 from event where (topic, subject) = (?1, ?2) and data is null)`)

// What a record does, and that it was read, in one transaction; it may do anything in the same database.
function handle(topic: string, partition: number, { offset, headers, value }: KafkaMessage): void {
  read.run(topic, partition, BigInt(offset) + 1n)
  const said = (header: string) => String(headers?.[header])
  if (said('ce_type') !== `${topic}.v1`) // what another version means is not known here
    return console.log(`passed over: ${said('ce_type')} at ${topic}/${partition}/${offset}`)
  if (value === null) forget.run(topic, said('ce_subject')) // a tombstone: its subject is forgotten, for good
  const data = value && String(value) // whole, with fields that are not known here
  keep.run(topic, said('ce_subject'), said('ce_id'), data)
}

function access(): Partial<KafkaConfig> {
  if (!env.KAFKA_USERNAME) return {}
  const ca = env.KAFKA_CA_FILE && readFileSync(env.KAFKA_CA_FILE)
  return {
    ssl: env.KAFKA_SECURITY_PROTOCOL === 'SASL_SSL' && (ca ? { ca } : true),
    sasl: { mechanism: 'scram-sha-512', username: env.KAFKA_USERNAME, password: env.KAFKA_PASSWORD! },
  }
}

const kafka = new Kafka({ brokers: env.KAFKA_BOOTSTRAP_SERVERS!.split(','), ...access() })
const groupId = env.KAFKA_USERNAME ?? 'subscriber' // kafkajs needs one; a user's is called as the user
const consumer = kafka.consumer({ groupId, sessionTimeout: 6000 })
consumer.on('consumer.crash', ({ payload }) => payload.restart || process.exit(1))
consumer.on('consumer.group_join', () => {
  for (const { topic, partition, next } of store.prepare('select * from position').all())
    consumer.seek({ topic: String(topic), partition: Number(partition), offset: String(next) })
})
await consumer.subscribe({ topics: ['SurveySubmitted', 'ExchangeCompleted'], fromBeginning: true })
await consumer.run({
  autoCommit: false, // the position is kept with what was done; kafkajs reads what is committed, and nothing else
  eachBatch: async ({ batch: { topic, partition, messages } }) => {
    store.exec('begin')
    for (const message of messages) handle(topic, partition, message)
    store.exec('commit')
  },
})
