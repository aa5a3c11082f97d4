// What CloudEvents' own SDK makes of records and of a batch; see test_cloudevents.py.
import { readFileSync } from 'node:fs'
import { HTTP, Kafka } from 'cloudevents'

// As a client of Kafka hands a record over, its headers made text.
const decoded = ({ key, headers, value }) => Kafka.toEvent({ key, headers, value: value && Buffer.from(value) })

// As a client of Kafka writes a message: headers as text, the value as JSON.
function encoded(event) {
  const { headers, value } = Kafka.binary(event)
  const given = Object.entries(headers).filter(([, text]) => text !== undefined)
  return { headers: Object.fromEntries(given.map(([name, text]) => [name, String(text)])), value: JSON.stringify(value) ?? null }
}

const { records, tombstone, batch } = JSON.parse(readFileSync(0, 'utf8'))
const events = records.map(decoded)
const varied = events.map((event) =>
  event.cloneWith({ datacontenttype: 'application/json; charset=utf-8', sequence: Number(event.sequence), tenant: true }),
)
const headers = { 'content-type': 'application/cloudevents-batch+json' }
const read = HTTP.toEvent({ headers, body: JSON.stringify(batch) })
let gone
try {
  gone = decoded(tombstone)
} catch (refusal) {
  gone = refusal.message
}
console.log(JSON.stringify({ events, tombstone: gone, again: events.map(encoded), varied: varied.map(encoded), batch: read }))
