import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Java's transactional producer: transactions of version 2 where the broker announces them. */
public class Transactions {
    static final String BOOTSTRAP = System.getenv("COMPAT_BOOTSTRAP");
    static final String PREFIX = System.getenv("COMPAT_PREFIX") + "-java-txn";

    interface Case {
        void run() throws Exception;
    }

    public static void main(String[] arguments) {
        Map<String, Case> cases = new LinkedHashMap<>();
        cases.put("commit-and-abort", Transactions::commitAndAbort);
        cases.put("send-offsets", Transactions::sendOffsets);
        cases.put("fencing", Transactions::fencing);
        cases.put("timeout", Transactions::timeout);
        cases.forEach((name, test) -> {
            String outcome = "passed";
            String reason = "";
            try {
                test.run();
            } catch (Throwable error) {
                outcome = "failed";
                reason = error.toString().replaceAll("[^ -~]|[\"\\\\]", "'");
                error.printStackTrace();
            }
            System.out.printf("{\"case\": \"%s\", \"outcome\": \"%s\", \"reason\": \"%s\"}%n", name, outcome, reason);
        });
        System.exit(0);
    }

    static void check(boolean holds, Object said) {
        if (!holds) {
            throw new AssertionError(String.valueOf(said));
        }
    }

    static String topic(String name) throws Exception {
        String topic = PREFIX + "-" + name;
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", BOOTSTRAP))) {
            admin.createTopics(List.of(new NewTopic(topic, 2, (short) 1))).all().get();
        }
        return topic;
    }

    static KafkaProducer<String, String> producer(String id, Map<String, Object> settings) {
        Map<String, Object> all = new HashMap<>(settings);
        all.put("bootstrap.servers", BOOTSTRAP);
        all.put("transactional.id", PREFIX + "-" + id);
        KafkaProducer<String, String> producer =
            new KafkaProducer<>(all, new StringSerializer(), new StringSerializer());
        producer.initTransactions();
        return producer;
    }

    static KafkaConsumer<String, String> consumer(String group, String isolation) {
        return new KafkaConsumer<>(Map.of("bootstrap.servers", BOOTSTRAP, "group.id", PREFIX + "-" + group,
            "isolation.level", isolation, "enable.auto.commit", "false"),
            new StringDeserializer(), new StringDeserializer());
    }

    /** All values of both partitions, sorted. */
    static List<String> values(String topic, String isolation) {
        List<String> found = new ArrayList<>();
        try (KafkaConsumer<String, String> consumer = consumer("reader", isolation)) {
            consumer.assign(List.of(new TopicPartition(topic, 0), new TopicPartition(topic, 1)));
            consumer.seekToBeginning(consumer.assignment());
            Map<TopicPartition, Long> ends = consumer.endOffsets(consumer.assignment());
            long deadline = System.currentTimeMillis() + 60_000;
            while (ends.entrySet().stream().anyMatch(end -> consumer.position(end.getKey()) < end.getValue())) {
                check(System.currentTimeMillis() < deadline, "no end after " + found.size());
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(200))) {
                    found.add(record.value());
                }
            }
        }
        Collections.sort(found);
        return found;
    }

    static void commitAndAbort() throws Exception {
        String topic = topic("commit");
        List<String> all = new ArrayList<>();
        List<String> committed = new ArrayList<>();
        try (KafkaProducer<String, String> producer = producer("commit", Map.of())) {
            for (int number = 0; number < 20; number++) {
                producer.beginTransaction();
                for (int partition = 0; partition < 2; partition++) {
                    String value = String.format("%02d-%d", number, partition);
                    producer.send(new ProducerRecord<>(topic, partition, null, value));
                    all.add(value);
                    if (number % 3 > 0) {
                        committed.add(value);
                    }
                }
                producer.flush();
                if (number % 3 > 0) {
                    producer.commitTransaction();
                } else {
                    producer.abortTransaction();
                }
            }
        }
        check(values(topic, "read_uncommitted").equals(all), "read_uncommitted differs");
        check(values(topic, "read_committed").equals(committed), "read_committed differs");
    }

    static void sendOffsets() throws Exception {
        String topic = topic("offsets");
        TopicPartition where = new TopicPartition(topic, 0);
        int[][] steps = {{5, 1, 5}, {9, 0, 5}, {11, 1, 11}};
        try (KafkaProducer<String, String> producer = producer("offsets", Map.of());
             KafkaConsumer<String, String> group = consumer("offsets", "read_committed")) {
            for (int[] step : steps) {
                producer.beginTransaction();
                producer.sendOffsetsToTransaction(Map.of(where, new OffsetAndMetadata(step[0])),
                    new ConsumerGroupMetadata(PREFIX + "-offsets"));
                if (step[1] > 0) {
                    producer.commitTransaction();
                } else {
                    producer.abortTransaction();
                }
                long found = group.committed(Set.of(where)).get(where).offset();
                check(found == step[2], found + " where " + step[2] + " was expected");
            }
        }
    }

    static void fencing() throws Exception {
        String topic = topic("fencing");
        KafkaProducer<String, String> zombie = producer("fencing", Map.of());
        zombie.beginTransaction();
        zombie.send(new ProducerRecord<>(topic, 0, null, "zombie")).get();
        try (KafkaProducer<String, String> next = producer("fencing", Map.of())) {
            try {
                zombie.commitTransaction();
                check(false, "a replaced producer committed");
            } catch (ProducerFencedException expected) {
                zombie.close(Duration.ZERO);
            }
            next.beginTransaction();
            next.send(new ProducerRecord<>(topic, 0, null, "new"));
            next.commitTransaction();
        }
        check(values(topic, "read_committed").equals(List.of("new")), values(topic, "read_committed"));
    }

    static void timeout() throws Exception {
        String topic = topic("timeout");
        TopicPartition where = new TopicPartition(topic, 0);
        Map<String, Object> settings = Map.of("transaction.timeout.ms", 2000);
        try (KafkaProducer<String, String> slow = producer("timeout", settings);
             KafkaConsumer<String, String> reader = consumer("timeout", "read_committed")) {
            slow.beginTransaction();
            slow.send(new ProducerRecord<>(topic, 0, null, "late")).get();
            // Apache Kafka looks for such transactions every ten seconds.
            long deadline = System.currentTimeMillis() + 60_000;
            while (reader.endOffsets(Set.of(where)).get(where) < 2) {
                check(System.currentTimeMillis() < deadline, "the transaction was not aborted");
                Thread.sleep(200);
            }
            try {
                slow.commitTransaction();
                check(false, "a transaction was committed that had been aborted");
            } catch (KafkaException expected) {
                // Fenced, or to be aborted.
            }
        }
        check(values(topic, "read_committed").isEmpty(), values(topic, "read_committed"));
    }
}
