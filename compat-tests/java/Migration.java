import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.FinalizedVersionRange;
import org.apache.kafka.clients.admin.GroupListing;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * A live group moves from the classic protocol to the consumer protocol and back, member by member (KIP-848), while
 * records are produced: none is skipped, what was committed is not read again, and a partition has one owner at a time.
 */
public class Migration {
    static final String BOOTSTRAP = System.getenv("COMPAT_BOOTSTRAP");
    static final String PREFIX = System.getenv("COMPAT_PREFIX");
    static final int PARTITIONS = 6;
    static final long PATIENCE_MS = 60_000;

    interface Case {
        void run(Admin admin) throws Exception;
    }

    interface Condition {
        boolean holds() throws Exception;
    }

    /** Who owns and has read what; a fault is kept until the story is over. */
    static class Ledger {
        final Map<TopicPartition, String> owners = new ConcurrentHashMap<>();
        final Map<TopicPartition, Set<Long>> read = new ConcurrentHashMap<>();
        final Map<TopicPartition, Long> committed = new ConcurrentHashMap<>();
        final List<String> faults = new ArrayList<>();

        synchronized void fault(String what) {
            faults.add(what);
        }

        void assigned(String member, Collection<TopicPartition> partitions) {
            for (TopicPartition partition : partitions) {
                String before = owners.put(partition, member);
                if (before != null && !before.equals(member)) {
                    fault(partition + " is " + before + "'s and " + member + "'s");
                }
            }
        }

        void released(String member, Collection<TopicPartition> partitions) {
            partitions.forEach(partition -> owners.remove(partition, member));
        }

        void read(String member, ConsumerRecord<String, String> record) {
            TopicPartition partition = new TopicPartition(record.topic(), record.partition());
            if (!member.equals(owners.get(partition))) {
                fault(member + " reads " + partition + ", which it does not own");
            }
            if (record.offset() < committed.getOrDefault(partition, 0L)) {
                fault(member + " reads " + partition + " at " + record.offset() + " again, which was committed");
            }
            read.computeIfAbsent(partition, key -> ConcurrentHashMap.newKeySet()).add(record.offset());
        }

        void committed(Map<TopicPartition, OffsetAndMetadata> offsets) {
            offsets.forEach((partition, to) -> committed.merge(partition, to.offset(), Math::max));
        }

        Set<TopicPartition> of(String member) {
            return owners.entrySet().stream().filter(entry -> entry.getValue().equals(member))
                .map(Map.Entry::getKey).collect(Collectors.toSet());
        }
    }

    /** A member in a thread of its own. */
    static class Member extends Thread implements ConsumerRebalanceListener {
        final Ledger ledger;
        final String topic;
        final Map<String, Object> settings;
        volatile boolean running = true;
        volatile Throwable failure;
        private KafkaConsumer<String, String> consumer;

        Member(Ledger ledger, String topic, String name, Map<String, Object> settings) {
            super(name);
            this.ledger = ledger;
            this.topic = topic;
            this.settings = settings;
            start();
        }

        @Override
        public void run() {
            try (KafkaConsumer<String, String> mine = new KafkaConsumer<>(settings)) {
                consumer = mine;
                consumer.subscribe(List.of(topic), this);
                while (running) {
                    for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(50))) {
                        ledger.read(getName(), record);
                    }
                    commit();
                }
            } catch (Throwable failed) {
                failure = failed;
            }
        }

        /** In a rebalance a commit may be refused; its records are then read again by the next owner. */
        void commit() {
            Map<TopicPartition, OffsetAndMetadata> positions = new HashMap<>();
            for (TopicPartition partition : consumer.assignment()) {
                positions.put(partition, new OffsetAndMetadata(consumer.position(partition)));
            }
            try {
                consumer.commitSync(positions);
                ledger.committed(positions);
            } catch (KafkaException refused) {
                System.out.println(getName() + ": commit: " + refused.getClass().getSimpleName());
            }
        }

        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
            ledger.assigned(getName(), partitions);
        }

        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
            commit();
            ledger.released(getName(), partitions);
        }

        @Override
        public void onPartitionsLost(Collection<TopicPartition> partitions) {
            System.out.println(getName() + " has lost " + partitions);
            ledger.released(getName(), partitions);
        }

        void end() throws Exception {
            running = false;
            join(PATIENCE_MS);
            check(!isAlive(), getName() + " does not end");
            check(failure == null, getName() + " has failed: " + failure);
        }
    }

    /** One group's way there and back. */
    static class Story implements AutoCloseable {
        final Admin admin;
        final String group;
        final String topic;
        final String assignor;
        final Ledger ledger = new Ledger();
        final List<Member> members = new ArrayList<>();
        final Map<TopicPartition, Set<Long>> acknowledged = new ConcurrentHashMap<>();
        final Thread producer = new Thread(this::produce, "producer");
        volatile boolean producing = true;

        Story(Admin admin, String name, String assignor) throws Exception {
            this.admin = admin;
            this.assignor = assignor;
            group = PREFIX + "-migration-" + name;
            topic = group;
            admin.createTopics(List.of(new NewTopic(topic, PARTITIONS, (short) 1))).all().get();
            producer.start();
        }

        void produce() {
            Map<String, Object> settings = Map.of("bootstrap.servers", BOOTSTRAP,
                "key.serializer", StringSerializer.class, "value.serializer", StringSerializer.class);
            try (KafkaProducer<String, String> producer = new KafkaProducer<>(settings)) {
                for (int i = 0; producing; i++) {
                    producer.send(new ProducerRecord<>(topic, i % PARTITIONS, null, "value " + i), (at, failure) -> {
                        if (failure == null) {
                            TopicPartition partition = new TopicPartition(at.topic(), at.partition());
                            acknowledged.computeIfAbsent(partition, key -> ConcurrentHashMap.newKeySet()).add(at.offset());
                        }
                    });
                    TimeUnit.MILLISECONDS.sleep(5);
                }
            } catch (InterruptedException interrupted) {
                Thread.currentThread().interrupt();
            }
        }

        Member classic(String name) {
            return member(name, Map.of("group.protocol", "classic", "session.timeout.ms", "20000",
                "heartbeat.interval.ms", "300", "partition.assignment.strategy", assignor));
        }

        Member consumer(String name) {
            return member(name, Map.of("group.protocol", "consumer"));
        }

        Member member(String name, Map<String, Object> protocol) {
            Map<String, Object> settings = new HashMap<>(protocol);
            settings.putAll(Map.of("bootstrap.servers", BOOTSTRAP, "group.id", group, "client.id", name,
                "enable.auto.commit", "false", "auto.offset.reset", "earliest",
                "key.deserializer", StringDeserializer.class, "value.deserializer", StringDeserializer.class));
            Member member = new Member(ledger, topic, name, settings);
            members.add(member);
            return member;
        }

        void leave(Member member) throws Exception {
            members.remove(member);
            member.end();
        }

        /** Until each partition has an owner and each member its share, and the group is of that type and stable. */
        void settled(String type) throws Exception {
            int least = PARTITIONS / members.size();
            await("a settled " + type + " group of " + members.size(), () -> {
                for (Member member : members) {
                    check(member.failure == null, member.getName() + " has failed: " + member.failure);
                    if (ledger.of(member.getName()).size() < least) {
                        return false;
                    }
                }
                return ledger.owners.size() == PARTITIONS && described().equals(type + " Stable");
            });
        }

        String described() throws Exception {
            for (GroupListing listing : admin.listGroups().all().get()) {
                if (listing.groupId().equals(group)) {
                    return listing.type().get() + " " + listing.groupState().get();
                }
            }
            return "none";
        }

        void await(String what, Condition condition) throws Exception {
            long until = System.currentTimeMillis() + PATIENCE_MS;
            while (!condition.holds()) {
                check(System.currentTimeMillis() < until,
                    what + " does not come: it is " + described() + ", owners are " + ledger.owners + ", faults " + ledger.faults);
                TimeUnit.MILLISECONDS.sleep(50);
            }
        }

        /** All that was acknowledged has been read, and nothing was wrong on the way. */
        void finish() throws Exception {
            producing = false;
            producer.join();
            await("the last record", () -> acknowledged.entrySet().stream().allMatch(partition ->
                ledger.read.getOrDefault(partition.getKey(), Set.of()).containsAll(partition.getValue())));
            check(acknowledged.size() == PARTITIONS, "some partitions have no records");
            check(ledger.faults.isEmpty(), String.join("; ", ledger.faults));
        }

        @Override
        public void close() throws Exception {
            producing = false;
            for (Member member : new ArrayList<>(members)) {
                member.running = false;
            }
            producer.join();
            for (Member member : new ArrayList<>(members)) {
                leave(member);
            }
        }
    }

    static void thereAndBack(Admin admin, String name, String assignor) throws Exception {
        try (Story story = new Story(admin, name, assignor)) {
            Member first = story.classic("first");
            Member second = story.classic("second");
            story.settled("Classic");
            Member third = story.consumer("third");
            story.settled("Consumer");
            story.leave(first);
            Member fourth = story.consumer("fourth");
            story.settled("Consumer");
            story.leave(second);
            story.settled("Consumer");
            Member fifth = story.classic("fifth");
            story.settled("Consumer");
            story.leave(third);
            Member sixth = story.classic("sixth");
            story.settled("Consumer");
            story.leave(fourth);
            story.settled("Classic");
            story.finish();
        }
    }

    /** Consumers arrive and leave while the group is still busy with the one before. */
    static void inHaste(Admin admin, String name, String assignor) throws Exception {
        try (Story story = new Story(admin, name, assignor)) {
            Member stays = story.classic("stays");
            story.settled("Classic");
            for (int round = 0; round < 3; round++) {
                Member guest = story.consumer("guest" + round);
                story.await("the guest's first partition", () -> !story.ledger.of(guest.getName()).isEmpty());
                Member other = story.classic("other" + round);
                story.leave(guest);
                story.await("the other's first partition", () -> !story.ledger.of(other.getName()).isEmpty());
                story.leave(other);
            }
            story.settled("Classic");
            story.finish();
        }
    }

    /** The feature that tells clients of the consumer protocol. */
    static void features(Admin admin) throws Exception {
        FinalizedVersionRange level = admin.describeFeatures().featureMetadata().get().finalizedFeatures().get("group.version");
        check(level != null && level.maxVersionLevel() == 1, "group.version is " + level);
    }

    static void check(boolean holds, String otherwise) {
        if (!holds) {
            throw new AssertionError(otherwise);
        }
    }

    public static void main(String[] arguments) {
        String range = "org.apache.kafka.clients.consumer.RangeAssignor";
        String cooperative = "org.apache.kafka.clients.consumer.CooperativeStickyAssignor";
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", BOOTSTRAP))) {
            report(admin, "feature", Migration::features);
            report(admin, "eager", it -> thereAndBack(it, "eager", range));
            report(admin, "cooperative", it -> thereAndBack(it, "cooperative", cooperative));
            report(admin, "eager-in-haste", it -> inHaste(it, "eager-in-haste", range));
            report(admin, "cooperative-in-haste", it -> inHaste(it, "cooperative-in-haste", cooperative));
        }
        System.exit(0);
    }

    static void report(Admin admin, String name, Case test) {
        String outcome = "passed";
        String reason = "";
        try {
            test.run(admin);
        } catch (Throwable failure) {
            outcome = "failed";
            reason = String.valueOf(failure.getMessage()).replaceAll("[\\\\\"\\p{Cntrl}]", " ");
        }
        System.out.println("{\"case\": \"" + name + "\", \"outcome\": \"" + outcome + "\", \"reason\": \"" + reason + "\"}");
    }
}
