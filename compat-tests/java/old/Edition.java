import java.util.Collections;
import java.util.Map;
import org.apache.kafka.clients.admin.AdminClient;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;

/** What kafka-clients 2.1 has and 4 has no longer: all configs replaced, and offsets of a transaction with a group's name. */
class Edition {
    static void alter(AdminClient admin, ConfigResource resource, ConfigEntry entry) throws Exception {
        admin.alterConfigs(Map.of(resource, new Config(Collections.singletonList(entry)))).all().get();
    }

    static void sendOffset(KafkaProducer<?, ?> producer, TopicPartition partition, long offset, String group) {
        producer.sendOffsetsToTransaction(Map.of(partition, new OffsetAndMetadata(offset)), group);
    }
}
