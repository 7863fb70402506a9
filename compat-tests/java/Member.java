import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.StringDeserializer;

/** A group member of kafka-clients of any version: the contract is in harness/member.py. */
public class Member {
    static volatile boolean running = true;

    public static void main(String[] arguments) {
        KafkaConsumer<String, String> consumer =
            new KafkaConsumer<>(settings(), new StringDeserializer(), new StringDeserializer());
        Thread main = Thread.currentThread();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            running = false;
            consumer.wakeup();
            try {
                main.join();
            } catch (InterruptedException interrupted) {
                Thread.currentThread().interrupt();
            }
        }));
        consumer.subscribe(List.of(System.getenv("MEMBER_TOPIC")), new Teller());
        while (running) {
            try {
                read(consumer);
            } catch (WakeupException stop) {
                break;
            }
        }
        consumer.close();
    }

    static void read(KafkaConsumer<String, String> consumer) {
        ConsumerRecords<String, String> found = consumer.poll(Duration.ofMillis(100));
        if (found.isEmpty()) {
            return;
        }
        StringBuilder lines = new StringBuilder();
        for (ConsumerRecord<String, String> record : found) {
            lines.append("record ").append(record.partition()).append(' ').append(record.offset()).append(' ')
                .append(record.value()).append('\n');
        }
        System.out.print(lines);
        System.out.flush();
        try {
            consumer.commitSync();
        } catch (WakeupException stop) {
            throw stop;
        } catch (KafkaException refused) {
            System.out.println("commit: " + refused);
        }
    }

    static class Teller implements ConsumerRebalanceListener {
        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
            tell("assigned", partitions);
        }

        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
            tell("revoked", partitions);
        }

        private void tell(String word, Collection<TopicPartition> partitions) {
            System.out.println(word + partitions.stream().map(p -> " " + p.partition()).collect(Collectors.joining()));
        }
    }

    static Map<String, Object> settings() {
        Map<String, Object> settings = new HashMap<>(Map.of(
            "bootstrap.servers", System.getenv("MEMBER_BOOTSTRAP"), "group.id", System.getenv("MEMBER_GROUP"),
            "enable.auto.commit", "false", "auto.offset.reset", "earliest", "reconnect.backoff.max.ms", "200"));
        if (System.getenv("MEMBER_PROTOCOL").equals("consumer")) {
            settings.put("group.protocol", "consumer");
        } else {
            settings.put("session.timeout.ms", System.getenv("MEMBER_SESSION_MS"));
            settings.put("heartbeat.interval.ms", System.getenv("MEMBER_HEARTBEAT_MS"));
        }
        if (!System.getenv("MEMBER_INSTANCE").isEmpty()) {
            settings.put("group.instance.id", System.getenv("MEMBER_INSTANCE"));
        }
        return settings;
    }
}
