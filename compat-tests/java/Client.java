import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.function.LongUnaryOperator;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.kafka.clients.admin.AdminClient;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Java's kafka-clients without a group: the same source for the 2.1 and the 4.x library, but for an Edition of each. */
public class Client {
    static final String BOOTSTRAP = System.getenv("COMPAT_BOOTSTRAP");
    static final String STRICT_BOOTSTRAP = System.getenv("COMPAT_STRICT_BOOTSTRAP");
    static final String PREFIX = System.getenv("COMPAT_PREFIX");
    static final String RETENTION = "retention.ms";
    static List<Rec> records;

    interface Case {
        void run() throws Exception;
    }

    static class Skip extends Exception {
        Skip(String reason) {
            super(reason);
        }
    }

    /** A record as produced or as read. */
    static class Rec {
        byte[] key;
        byte[] value;
        List<String> names = new ArrayList<>();
        List<byte[]> contents = new ArrayList<>();
        long timestamp;

        Rec(byte[] key, byte[] value, long timestamp) {
            this.key = key;
            this.value = value;
            this.timestamp = timestamp;
        }

        ProducerRecord<byte[], byte[]> toSend(String topic) {
            ProducerRecord<byte[], byte[]> record = new ProducerRecord<>(topic, 0, timestamp, key, value);
            for (int i = 0; i < names.size(); i++) {
                record.headers().add(names.get(i), contents.get(i));
            }
            return record;
        }

        void compare(ConsumerRecord<byte[], byte[]> found, long offset) {
            String at = found.topic() + " offset " + found.offset();
            check(found.offset() == offset, at + ", expected offset " + offset);
            check(Arrays.equals(found.key(), key), at + ": other key");
            check(Arrays.equals(found.value(), value), at + ": other value");
            check(found.timestamp() == timestamp, at + ": timestamp " + found.timestamp() + ", written " + timestamp);
            Header[] headers = found.headers().toArray();
            check(headers.length == names.size(), at + ": " + headers.length + " headers");
            for (int i = 0; i < headers.length; i++) {
                check(headers[i].key().equals(names.get(i)), at + ": header " + i + " has another name");
                check(Arrays.equals(headers[i].value(), contents.get(i)), at + ": header " + i + " has another value");
            }
        }
    }

    static void check(boolean holds, String otherwise) {
        if (!holds) {
            throw new AssertionError(otherwise);
        }
    }

    public static void main(String[] arguments) throws Exception {
        records = readFixture();
        Map<String, Case> cases = new LinkedHashMap<>();
        for (String codec : new String[] {"none", "gzip", "snappy", "lz4", "zstd"}) {
            cases.put("round-trip-" + codec, () -> roundTrip(codec));
        }
        cases.put("offsets-by-timestamp", Client::offsetsByTimestamp);
        cases.put("seek", Client::seek);
        cases.put("large-record", Client::largeRecord);
        cases.put("too-large-record", Client::tooLargeRecord);
        cases.put("idempotence", Client::idempotence);
        cases.put("create-topic", Client::createTopic);
        cases.put("topic-configs", Client::topicConfigs);
        cases.put("transactions", Client::transactions);
        cases.put("unknown-topic", Client::unknownTopic);
        cases.forEach(Client::report);
        System.exit(0);
    }

    static void report(String name, Case body) {
        String outcome = "passed";
        String reason = "";
        try {
            body.run();
        } catch (Skip skip) {
            outcome = "skipped";
            reason = skip.getMessage();
        } catch (Throwable error) {
            outcome = "failed";
            reason = error.toString();
        }
        String escaped = reason.replaceAll("[\\p{Cntrl}\"\\\\]", " ");
        System.out.println("{\"case\": \"" + name + "\", \"outcome\": \"" + outcome + "\", \"reason\": \"" + escaped + "\"}");
    }

    static void roundTrip(String codec) throws Exception {
        String topic = PREFIX + "-" + codec;
        produce(topic, records, BOOTSTRAP, Map.of("compression.type", codec));
        consume(topic, 0, records, "read_committed");
        consume(topic, 0, records, "read_uncommitted");
    }

    static void offsetsByTimestamp() {
        TopicPartition partition = new TopicPartition(PREFIX + "-none", 0);
        try (KafkaConsumer<byte[], byte[]> consumer = consumer("read_committed")) {
            for (int index : new int[] {0, 2, 100, records.size() - 2}) {
                long at = records.get(index).timestamp;
                check(offsetAt(consumer, partition, at) == index, "at " + at + ", expected " + index);
                long later = index + 2 < records.size() ? index + 2 : -1;
                check(offsetAt(consumer, partition, at + 1) == later, "at " + at + " + 1, expected " + later);
            }
            check(offsetAt(consumer, partition, 0) == 0, "at 0");
            List<TopicPartition> all = Collections.singletonList(partition);
            check(consumer.beginningOffsets(all).get(partition) == 0, "beginning offset");
            check(consumer.endOffsets(all).get(partition) == records.size(), "end offset");
        }
    }

    static long offsetAt(KafkaConsumer<byte[], byte[]> consumer, TopicPartition partition, long timestamp) {
        OffsetAndTimestamp found = consumer.offsetsForTimes(Map.of(partition, timestamp)).get(partition);
        return found == null ? -1 : found.offset();
    }

    static void seek() {
        for (int start : new int[] {1, 150, 299}) {
            consume(PREFIX + "-lz4", start, records.subList(start, records.size()), "read_committed");
        }
    }

    static void largeRecord() throws Exception {
        List<Rec> one = List.of(new Rec(new byte[] {1}, incompressible(900_000), records.get(0).timestamp));
        produce(PREFIX + "-large", one, BOOTSTRAP, Map.of());
        consume(PREFIX + "-large", 0, one, "read_committed");
    }

    static void tooLargeRecord() throws Exception {
        List<Rec> one = List.of(new Rec(null, incompressible(1_500_000), records.get(0).timestamp));
        expect(RecordTooLargeException.class, () ->
            produce(PREFIX + "-too-large", one, BOOTSTRAP, Map.of("max.request.size", 4 << 20)));
    }

    static void idempotence() throws Exception {
        String topic = PREFIX + "-idempotent";
        List<Rec> many = new ArrayList<>();
        for (int i = 0; i < 5000; i++) {
            many.add(new Rec(null, Integer.toString(i).getBytes(StandardCharsets.UTF_8), records.get(0).timestamp));
        }
        Map<String, Object> settings = Map.of("enable.idempotence", true, "batch.size", 200, "retries", 10);
        produce(topic, many, BOOTSTRAP, settings);
        consume(topic, 0, many, "read_committed");
    }

    static void createTopic() throws Exception {
        String topic = PREFIX + "-created";
        try (AdminClient admin = AdminClient.create(Map.of("bootstrap.servers", (Object) BOOTSTRAP))) {
            NewTopic wanted = new NewTopic(topic, 3, (short) 1).configs(Map.of("max.message.bytes", "2000"));
            admin.createTopics(List.of(wanted)).all().get();
            expect(TopicExistsException.class, () -> admin.createTopics(List.of(wanted)).all().get());
            try (KafkaConsumer<byte[], byte[]> consumer = consumer("read_committed")) {
                check(consumer.partitionsFor(topic).size() == 3, "partitions");
            }
            check(admin.describeCluster().nodes().get().size() == 1, "nodes");
            List<Rec> one = List.of(new Rec(null, incompressible(3000), records.get(0).timestamp));
            expect(RecordTooLargeException.class, () -> produce(topic, one, BOOTSTRAP, Map.of()));
            admin.deleteTopics(List.of(topic)).all().get();
            // A broker may hear of it a moment after it was answered, as Apache Kafka's do.
            long deadline = System.currentTimeMillis() + 10_000;
            while (admin.listTopics().names().get().contains(topic)) {
                check(System.currentTimeMillis() < deadline, "a deleted topic is listed");
            }
        }
    }

    static void topicConfigs() throws Exception {
        String topic = PREFIX + "-configured";
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        try (AdminClient admin = AdminClient.create(Map.of("bootstrap.servers", (Object) BOOTSTRAP))) {
            admin.createTopics(List.of(new NewTopic(topic, 1, (short) 1).configs(Map.of(RETENTION, "3600000")))).all().get();
            becomes(admin, resource, "3600000");
            Edition.alter(admin, resource, new ConfigEntry(RETENTION, "7200000"));
            becomes(admin, resource, "7200000");
            expect(InvalidConfigurationException.class, () ->
                Edition.alter(admin, resource, new ConfigEntry(RETENTION, "many")));
            becomes(admin, resource, "7200000");
            admin.deleteTopics(List.of(topic)).all().get();
        }
    }

    /** A broker may hear of a topic or a change a moment after it was answered, as Apache Kafka's do. */
    static void becomes(AdminClient admin, ConfigResource resource, String wanted) throws Exception {
        long deadline = System.currentTimeMillis() + 10_000;
        String found = null;
        while (!wanted.equals(found) && System.currentTimeMillis() < deadline) {
            try {
                found = admin.describeConfigs(List.of(resource)).all().get().get(resource).get(RETENTION).value();
            } catch (ExecutionException error) {
                check(error.getCause() instanceof UnknownTopicOrPartitionException, error.toString());
            }
        }
        check(wanted.equals(found), RETENTION + " is " + found + ", expected " + wanted);
    }

    /** Committed records and offsets are read, aborted records only by who reads uncommitted; a successor fences. */
    static void transactions() throws Exception {
        String topic = PREFIX + "-transactions";
        List<Rec> committed = new ArrayList<>();
        for (int i = 0; i < 10; i++) {
            committed.add(new Rec(null, Integer.toString(i).getBytes(StandardCharsets.UTF_8), records.get(0).timestamp));
        }
        try (KafkaProducer<byte[], byte[]> first = transactional(topic)) {
            sendAll(first, topic, records.subList(0, 10), 9);
            first.abortTransaction();
            sendAll(first, topic, committed, 7);
            first.commitTransaction();
            List<Rec> all = new ArrayList<>(records.subList(0, 10));
            all.addAll(committed);
            // A marker follows the ten records of each.
            read(topic, 0, all, i -> i < 10 ? i : i + 1, "read_uncommitted");
            read(topic, 0, committed, i -> i + 11, "read_committed");
            check(committedOffset(topic) == 7, "committed is " + committedOffset(topic));
            sendAll(first, topic, records.subList(0, 10), 9);
            try (KafkaProducer<byte[], byte[]> second = transactional(topic)) {
                sendAll(second, topic, committed, 8);
                second.commitTransaction();
            }
            try {
                first.commitTransaction();
                check(false, "a producer with an old epoch committed");
            } catch (ProducerFencedException expected) {
                check(committedOffset(topic) == 8, "committed is " + committedOffset(topic));
            }
        }
    }

    /** Begins a transaction, writes records and an offset of the topic's own group. */
    static void sendAll(KafkaProducer<byte[], byte[]> producer, String topic, List<Rec> list, long offset) {
        producer.beginTransaction();
        list.forEach(record -> producer.send(record.toSend(topic)));
        // An abort would drop what is not on its way yet.
        producer.flush();
        Edition.sendOffset(producer, new TopicPartition(topic, 0), offset, topic);
    }

    /** Where the topic's own group would go on. */
    static long committedOffset(String topic) {
        try (KafkaConsumer<byte[], byte[]> consumer = consumer("read_committed", Map.of("group.id", topic))) {
            consumer.assign(List.of(new TopicPartition(topic, 0)));
            return consumer.position(new TopicPartition(topic, 0));
        }
    }

    static KafkaProducer<byte[], byte[]> transactional(String id) {
        KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(Map.of("bootstrap.servers", BOOTSTRAP,
            "transactional.id", id), new ByteArraySerializer(), new ByteArraySerializer());
        producer.initTransactions();
        return producer;
    }

    static void unknownTopic() throws Exception {
        if (STRICT_BOOTSTRAP.isEmpty()) {
            throw new Skip("needs a second broker with auto.create.topics.enable=false");
        }
        List<Rec> one = List.of(new Rec(null, new byte[1], records.get(0).timestamp));
        try {
            produce(PREFIX + "-unknown", one, STRICT_BOOTSTRAP, Map.of("max.block.ms", 1500));
        } catch (ExecutionException | TimeoutException error) {
            Throwable cause = error instanceof ExecutionException ? error.getCause() : error;
            check(cause instanceof TimeoutException || cause instanceof UnknownTopicOrPartitionException, cause.toString());
            return;
        }
        throw new AssertionError("a record for a topic that does not exist was accepted");
    }

    static void expect(Class<? extends Exception> kind, Case body) throws Exception {
        try {
            body.run();
        } catch (ExecutionException error) {
            check(kind.isInstance(error.getCause()), "expected " + kind.getSimpleName() + ", got " + error.getCause());
            return;
        }
        throw new AssertionError("expected " + kind.getSimpleName() + ", but it succeeded");
    }

    /** Produces in order; every acknowledged offset must be the record's place. */
    static void produce(String topic, List<Rec> list, String bootstrap, Map<String, Object> more) throws Exception {
        Map<String, Object> settings = new HashMap<>(Map.of("bootstrap.servers", bootstrap, "acks", "all", "linger.ms", 5));
        settings.putAll(more);
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (KafkaProducer<byte[], byte[]> producer =
                 new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer())) {
            for (Rec record : list) {
                sent.add(producer.send(record.toSend(topic)));
            }
        }
        for (int i = 0; i < sent.size(); i++) {
            long offset = sent.get(i).get().offset();
            check(offset == i, "record " + i + " was acknowledged at offset " + offset);
        }
    }

    static KafkaConsumer<byte[], byte[]> consumer(String isolation) {
        return consumer(isolation, Map.of());
    }

    static KafkaConsumer<byte[], byte[]> consumer(String isolation, Map<String, Object> more) {
        Map<String, Object> settings = new HashMap<>(Map.of("bootstrap.servers", BOOTSTRAP, "isolation.level", isolation,
            "enable.auto.commit", "false", "auto.offset.reset", "none", "fetch.max.wait.ms", 100));
        settings.putAll(more);
        return new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    /** Reads from `start` and compares with `expected`, and that the partition ends there. */
    static void consume(String topic, long start, List<Rec> expected, String isolation) {
        long end = read(topic, start, expected, i -> start + i, isolation);
        check(end == start + expected.size(), topic + ": end offset " + end);
    }

    /** Reads from `start` as many records as are expected, and compares them and their offsets; returns the end offset. */
    static long read(String topic, long start, List<Rec> expected, LongUnaryOperator offsetOf, String isolation) {
        TopicPartition partition = new TopicPartition(topic, 0);
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(isolation)) {
            consumer.assign(List.of(partition));
            consumer.seek(partition, start);
            int read = 0;
            long deadline = System.currentTimeMillis() + 30_000;
            while (read < expected.size() && System.currentTimeMillis() < deadline) {
                for (ConsumerRecord<byte[], byte[]> found : consumer.poll(Duration.ofMillis(500))) {
                    check(read < expected.size(), topic + ": more records than were written");
                    expected.get(read).compare(found, offsetOf.applyAsLong(read));
                    read++;
                }
            }
            check(read == expected.size(), topic + ": " + read + " of " + expected.size() + " records came");
            return consumer.endOffsets(List.of(partition)).get(partition);
        }
    }

    static byte[] incompressible(int size) {
        byte[] bytes = new byte[size];
        new Random(size).nextBytes(bytes);
        return bytes;
    }

    /** The fixture is JSON of one fixed shape with base64 strings, so that patterns are enough to read it. */
    static List<Rec> readFixture() throws IOException {
        String text = new String(Files.readAllBytes(Paths.get(System.getenv("COMPAT_RECORDS"))), StandardCharsets.UTF_8);
        String word = "(null|\"[^\"]*\")";
        Pattern record = Pattern.compile("\\{\"key\": " + word + ", \"value\": " + word
            + ", \"headers\": \\[((?:\\[[^\\]]*\\](?:, )?)*)\\], \"timestamp\": (\\d+)\\}");
        Pattern header = Pattern.compile("\\[\"([^\"]*)\", " + word + "\\]");
        List<Rec> found = new ArrayList<>();
        Matcher match = record.matcher(text);
        while (match.find()) {
            Rec one = new Rec(blob(match.group(1)), blob(match.group(2)), Long.parseLong(match.group(4)));
            Matcher pair = header.matcher(match.group(3));
            while (pair.find()) {
                one.names.add(pair.group(1));
                one.contents.add(blob(pair.group(2)));
            }
            found.add(one);
        }
        check(found.size() == 300, found.size() + " records in the fixture");
        return found;
    }

    static byte[] blob(String word) {
        return word.equals("null") ? null : Base64.getDecoder().decode(word.substring(1, word.length() - 1));
    }
}
