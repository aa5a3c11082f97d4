import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.cloudevents.CloudEvent;
import io.cloudevents.core.builder.CloudEventBuilder;
import io.cloudevents.jackson.JsonFormat;
import io.cloudevents.kafka.KafkaMessageFactory;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import org.apache.kafka.common.header.internals.RecordHeaders;

/** What CloudEvents' own SDK makes of records and of a batch; see test_cloudevents.py. */
final class Sdk {
    static final ObjectMapper JSON = new ObjectMapper();
    static final JsonFormat FORMAT = new JsonFormat();

    public static void main(String[] arguments) throws IOException {
        JsonNode given = JSON.readTree(System.in);
        ObjectNode said = JSON.createObjectNode();
        for (var list : new String[] {"events", "again", "varied", "batch"}) said.putArray(list);
        for (JsonNode record : given.get("records")) {
            CloudEvent event = decoded(record);
            said.withArray("events").add(JSON.readTree(FORMAT.serialize(event)));
            said.withArray("again").add(encoded(event));
            var varied = CloudEventBuilder.v1(event).withDataContentType("application/json; charset=utf-8")
                .withExtension("sequence", Integer.parseInt(event.getExtension("sequence").toString()))
                .withExtension("tenant", true);
            said.withArray("varied").add(encoded(varied.build()));
        }
        said.set("tombstone", JSON.readTree(FORMAT.serialize(decoded(given.get("tombstone")))));
        for (JsonNode each : given.get("batch"))
            said.withArray("batch").add(JSON.readTree(FORMAT.serialize(FORMAT.deserialize(JSON.writeValueAsBytes(each)))));
        JSON.writeValue(System.out, said);
    }

    static CloudEvent decoded(JsonNode record) {
        var headers = new RecordHeaders();
        record.get("headers").fields().forEachRemaining(
            each -> headers.add(each.getKey(), each.getValue().asText().getBytes(StandardCharsets.UTF_8)));
        JsonNode value = record.get("value");
        byte[] data = value.isNull() ? null : value.asText().getBytes(StandardCharsets.UTF_8);
        return KafkaMessageFactory.createReader(headers, data).toEvent();
    }

    static ObjectNode encoded(CloudEvent event) {
        var record = KafkaMessageFactory.createWriter("a-topic").writeBinary(event);
        ObjectNode said = JSON.createObjectNode();
        for (var header : record.headers())
            said.withObject("/headers").put(header.key(), new String(header.value(), StandardCharsets.UTF_8));
        said.put("value", record.value() == null ? null : new String(record.value(), StandardCharsets.UTF_8));
        return said;
    }
}
