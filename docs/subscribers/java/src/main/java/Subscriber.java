import java.sql.*;
import java.time.Duration;
import java.util.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;

/** Keeps every SurveySubmitted and ExchangeCompleted in SQLite: killed and started again, it loses and repeats none. */
final class Subscriber {
    static final List<String> TOPICS = List.of("SurveySubmitted", "ExchangeCompleted");
    static final List<String> TABLES = List.of("pragma journal_mode = wal",
        "create table if not exists event (topic text, subject text, id text, data text, primary key (topic, subject, id))",
        "create table if not exists position (topic text, partition integer, next integer, primary key (topic, partition))");
    static final String KEEP = "insert or ignore into event select ?1, ?2, ?3, ?4 "
        + "where not exists (select 1 from event where (topic, subject) = (?1, ?2) and data is null)";

    public static void main(String[] arguments) throws SQLException {
        var env = System.getenv();
        var settings = Map.<String, Object>of("bootstrap.servers", env.get("KAFKA_BOOTSTRAP_SERVERS"),
            "security.protocol", env.getOrDefault("KAFKA_SECURITY_PROTOCOL", "PLAINTEXT"),
            "sasl.mechanism", "SCRAM-SHA-512",
            "sasl.jaas.config", "org.apache.kafka.common.security.scram.ScramLoginModule required "
                + "username=\"%s\" password=\"%s\";".formatted(env.get("KAFKA_USERNAME"), env.get("KAFKA_PASSWORD")),
            "isolation.level", "read_committed", "auto.offset.reset", "earliest");
        var text = new StringDeserializer();
        try (var store = DriverManager.getConnection("jdbc:sqlite:" + env.getOrDefault("STORE", "events.sqlite"));
                var consumer = new KafkaConsumer<>(settings, text, text)) {
            for (var table : TABLES) run(store, table);
            store.setAutoCommit(false);
            consumer.assign(TOPICS.stream().flatMap(topic -> consumer.partitionsFor(topic).stream())
                .map(each -> new TopicPartition(each.topic(), each.partition())).toList());
            var kept = store.createStatement().executeQuery("select topic, partition, next from position");
            while (kept.next()) consumer.seek(new TopicPartition(kept.getString(1), kept.getInt(2)), kept.getLong(3));
            for (;; store.commit()) // a transaction for each batch, which a kill undoes as a whole
                for (var record : consumer.poll(Duration.ofSeconds(1))) handle(store, record);
        }
    }

    /** What a record does, and that it was read, in one transaction; it may do anything in the same database. */
    static void handle(Connection store, ConsumerRecord<String, String> record) throws SQLException {
        String topic = record.topic(), data = record.value(); // whole, with fields that are not known here
        run(store, "replace into position values (?, ?, ?)", topic, record.partition(), record.offset() + 1);
        var headers = new HashMap<String, String>();
        record.headers().forEach(header -> headers.put(header.key(), new String(header.value())));
        if (!(topic + ".v1").equals(headers.get("ce_type"))) { // what another version means is not known here
            System.out.printf("passed over: %s at %s/%d%n", headers.get("ce_type"), topic, record.offset());
            return;
        }
        if (data == null) // a tombstone: what is known of its subject is forgotten, for good
            run(store, "delete from event where (topic, subject) = (?, ?)", topic, headers.get("ce_subject"));
        run(store, KEEP, topic, headers.get("ce_subject"), headers.get("ce_id"), data);
    }

    static void run(Connection store, String sql, Object... values) throws SQLException {
        try (var statement = store.prepareStatement(sql)) {
            for (int place = 0; place < values.length; place++) statement.setObject(place + 1, values[place]);
            statement.execute();
        }
    }
}
