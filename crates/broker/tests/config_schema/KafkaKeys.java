// Prints the configuration tables of Apache Kafka, tabs between the columns: table, name, type, default, validator,
// update mode or synonyms. Internal keys are left out.

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.server.config.ConfigSynonym;
import org.apache.kafka.server.config.DynamicBrokerConfig;
import org.apache.kafka.server.config.ServerTopicConfigSynonyms;
import org.apache.kafka.storage.internals.log.LogConfig;

public class KafkaKeys {
    public static void main(String[] args) {
        Map<String, String> modes = DynamicBrokerConfig.dynamicConfigUpdateModes();
        for (ConfigDef.ConfigKey key : kafka.server.KafkaConfig$.MODULE$.configDef().configKeys().values()) {
            print("broker", key, modes.getOrDefault(key.name, "read-only"));
        }
        for (ConfigDef.ConfigKey key : LogConfig.configKeys().values()) {
            List<String> names = new ArrayList<>();
            for (ConfigSynonym s : ServerTopicConfigSynonyms.ALL_TOPIC_CONFIG_SYNONYMS.getOrDefault(key.name, List.of())) {
                names.add(s.name());
            }
            print("topic", key, String.join(",", names));
        }
    }

    static void print(String table, ConfigDef.ConfigKey key, String last) {
        if (key.internalConfig) {
            return;
        }
        String fallback = key.hasDefault() ? ConfigDef.convertToString(key.defaultValue, key.type) : null;
        String validator = key.validator == null ? "" : key.validator.toString();
        System.out.println(String.join("\t", table, key.name, key.type.toString(), String.valueOf(fallback), validator, last));
    }
}
