import java.time.Duration;
import java.util.Arrays;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.JoinWindows;
import org.apache.kafka.streams.kstream.KStream;

/**
 * One instance of a Kafka Streams application, until SIGTERM: `word-count` (a store, its changelog and a
 * repartition topic) or `join` (two window stores, one side repartitioned). Every update leaves the store.
 */
public class Streams {
    static final String INPUT = System.getenv("STREAMS_PREFIX") + "-";
    static final Duration WINDOW = Duration.ofHours(1);

    public static void main(String[] arguments) {
        StreamsBuilder builder = new StreamsBuilder();
        KStream<String, String> output = arguments[0].equals("join") ? join(builder) : wordCount(builder);
        output.to(INPUT + "output");
        KafkaStreams streams = new KafkaStreams(builder.build(), settings());
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            return StreamThreadExceptionResponse.REPLACE_THREAD;
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(Duration.ofSeconds(20))));
        streams.start();
    }

    static Properties settings() {
        Properties settings = new Properties();
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, System.getenv("STREAMS_BOOTSTRAP"));
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, INPUT + "application");
        settings.put(StreamsConfig.STATE_DIR_CONFIG, System.getenv("STREAMS_STATE"));
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG,
            System.getenv().getOrDefault("STREAMS_GUARANTEE", StreamsConfig.EXACTLY_ONCE_V2));
        settings.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
        settings.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
        settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 0);
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2);
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 50);
        // A killed instance leaves its place soon, and many transactions end while a round lasts.
        settings.put(ConsumerConfig.SESSION_TIMEOUT_MS_CONFIG, 2000);
        settings.put(ConsumerConfig.HEARTBEAT_INTERVAL_MS_CONFIG, 300);
        settings.put(ConsumerConfig.MAX_POLL_RECORDS_CONFIG, 50);
        settings.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
        return settings;
    }

    /** Lines of words to (word, 1), (word, 2), ... */
    static KStream<String, String> wordCount(StreamsBuilder builder) {
        return builder.<String, String>stream(INPUT + "input")
            .flatMapValues(line -> Arrays.asList(line.split(" ")))
            .groupBy((key, word) -> word, Grouped.as("words"))
            .count()
            .toStream()
            .mapValues(String::valueOf);
    }

    /** Every pair of `KEY:LEFT` of one input and `RIGHT`, keyed, of the other: (KEY, LEFT+RIGHT). */
    static KStream<String, String> join(StreamsBuilder builder) {
        KStream<String, String> left = builder.<String, String>stream(INPUT + "input")
            .selectKey((key, value) -> value.substring(0, value.indexOf(':')))
            .mapValues(value -> value.substring(value.indexOf(':') + 1));
        KStream<String, String> right = builder.stream(INPUT + "right");
        return left.join(right, (one, other) -> one + "+" + other,
            JoinWindows.ofTimeDifferenceAndGrace(WINDOW, WINDOW));
    }
}
