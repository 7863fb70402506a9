"""Sessions that oracle_generated found differing, smallest form, pasted as they were printed; under names that say what it was."""

from harness import schema
from oracle_generated.play import Play


def no_partitions(play):
    """Answers go by partition, so that a topic that names none is not answered."""
    play.call(schema.CREATE_TOPICS, 5, {'topics': [{'name': play.name('t0'), 'num_partitions': 1, 'replication_factor': 1}], 'timeout_ms': 10000})
    play.call(schema.PRODUCE, 3, {'acks': -1, 'timeout_ms': 10000, 'topics': [{}]})
    play.call(schema.FETCH, 5, {'replica_id': -1, 'max_wait_ms': 0, 'topics': [{}]})
    play.call(schema.LIST_OFFSETS, 10, {'replica_id': -1, 'topics': [{}], 'timeout_ms': 10000})
    play.call(schema.WRITE_TXN_MARKERS, 1, {'markers': [{}]})
    play.call(schema.OFFSET_COMMIT, 3, {'topics': [{'name': play.name('t0')}]})
    play.call(schema.TXN_OFFSET_COMMIT, 1, {'topics': [{'name': play.name('t0')}]})


def operations_on_groups(play):
    """A group has configs, which can be described and altered."""
    play.call(schema.DESCRIBE_GROUPS, 3, {'groups': [play.name('g1')], 'include_authorized_operations': True})
    play.call(schema.CONSUMER_GROUP_DESCRIBE, 0, {'group_ids': [play.name('c1')], 'include_authorized_operations': True})


def operations_on_no_topic(play):
    """An id of no topic names nothing that one could be allowed to do something with."""
    play.call(schema.METADATA, 13, {'topics': [{'topic_id': b'no such topic id'}], 'include_topic_authorized_operations': True})


def special_time_of_no_topic(play):
    """A time that the version does not know comes before a topic that is not there."""
    play.call(schema.LIST_OFFSETS, 2, {'replica_id': -1, 'topics': [{'partitions': [{'timestamp': -3}]}]})


def markers_of_nobody(play):
    """A marker needs a producer and an epoch."""
    play.call(schema.CREATE_TOPICS, 5, {'topics': [{'name': play.name('t1'), 'num_partitions': 3, 'replication_factor': 1}], 'timeout_ms': 10000})
    play.call(schema.WRITE_TXN_MARKERS, 1, {'markers': [{'producer_epoch': -1, 'topics': [{'name': play.name('t1'), 'partition_indexes': [1]}]}]})
    play.call(schema.WRITE_TXN_MARKERS, 1, {'markers': [{'producer_id': -1, 'topics': [{'name': play.name('t1'), 'partition_indexes': [1]}]}]})


def many_partitions_of_a_name_given_twice(play):
    """What stands twice in a request is not counted."""
    play.call(schema.CREATE_TOPICS, 6, {'topics': [{'name': play.name('t3')}, {'name': play.name('t3'), 'num_partitions': 2147483647}], 'timeout_ms': 10000})


def assignments_of_too_many_partitions(play):
    """Whether as many are assigned as are added comes before whether they are too many."""
    play.call(schema.CREATE_TOPICS, 5, {'topics': [{'name': play.name('t1'), 'num_partitions': 3, 'replication_factor': 1}], 'timeout_ms': 10000})
    play.call(schema.CREATE_PARTITIONS, 3, {'topics': [{'name': play.name('t1'), 'count': 2147483647}], 'timeout_ms': 10000})


def configs_before_topics(play):
    """What is wrong with the configs is told before what is wrong with the topic; a key given twice is wrong."""
    twice = [{'name': 'cleanup.policy', 'value': 'delete'}, {'name': 'cleanup.policy', 'value': 'delete'}]
    play.call(schema.CREATE_TOPICS, 5, {'topics': [{'name': play.name('t1'), 'num_partitions': 3, 'replication_factor': 1}], 'timeout_ms': 10000})
    play.call(schema.ALTER_CONFIGS, 2, {'resources': [{'resource_type': 2, 'resource_name': 'n' * 250, 'configs': twice}]})
    play.call(schema.ALTER_CONFIGS, 2, {'resources': [{'resource_type': 2, 'resource_name': play.name('t1'), 'configs': twice}]})
    play.call(schema.INCREMENTAL_ALTER_CONFIGS, 1, {'resources': [{'resource_type': 2, 'resource_name': play.name('unknown'), 'configs': [{'value': 'none'}]}]})


def epochs_below_none(play):
    """Only -1 is no epoch; Fetch alone takes every negative number for none."""
    play.call(schema.CREATE_TOPICS, 5, {'topics': [{'name': play.name('t0'), 'num_partitions': 1, 'replication_factor': 1}], 'timeout_ms': 10000})
    play.call(schema.LIST_OFFSETS, 9, {'replica_id': -1, 'topics': [{'name': play.name('t0'), 'partitions': [{'current_leader_epoch': -2147483648}]}]})
    play.call(schema.OFFSET_FOR_LEADER_EPOCH, 2, {'topics': [{'topic': play.name('t0'), 'partitions': [{'current_leader_epoch': -2147483648}]}]})
    play.call(schema.FETCH, 11, {'replica_id': -1, 'max_wait_ms': 1, 'session_epoch': -1, 'topics': [{'topic': play.name('t0'), 'partitions': [
        {'current_leader_epoch': -2147483648}]}]})


def last_fetched_epoch_of_an_empty_log(play):
    """The leader's own epoch ends at the end of the log, also where that holds no record: nothing is out of range."""
    play.call(schema.CREATE_TOPICS, 5, {'topics': [{'name': play.name('t1'), 'num_partitions': 3, 'replication_factor': 1}], 'timeout_ms': 10000})
    for epoch in (-1, 0, 1):
        for offset in (0, 5):
            play.call(schema.FETCH, 12, {'replica_id': -1, 'max_wait_ms': 1, 'session_epoch': -1, 'topics': [{'topic': play.name('t1'), 'partitions': [
                {'fetch_offset': offset, 'last_fetched_epoch': epoch, 'partition_max_bytes': 1000}]}]})


def transaction_of_no_name(play):
    """An empty transactional id is no id."""
    play.call(schema.CREATE_TOPICS, 5, {'topics': [{'name': play.name('t1'), 'num_partitions': 3, 'replication_factor': 1}], 'timeout_ms': 10000})
    play.call(schema.INIT_PRODUCER_ID, 4, {
        'transactional_id': play.name('x1'), 'transaction_timeout_ms': 60000, 'producer_id': -1, 'producer_epoch': -1})
    play.call(schema.PRODUCE, 9, {'transactional_id': '', 'acks': 1, 'timeout_ms': 10000, 'topics': [{'name': play.name('t1'), 'partitions': [
        {'records': play.batch(stamp=play.stamp('x1', 't0', 0), transactional=True)}]}]})


def partitions_that_are_missing(play):
    """They come last, also where others of their topic were found: neighbours of one topic share its entry."""
    play.call(schema.CREATE_TOPICS, 5, {'topics': [{'name': play.name('t0'), 'num_partitions': 1, 'replication_factor': 1}, {
        'name': play.name('t1'), 'num_partitions': 3, 'replication_factor': 1}], 'timeout_ms': 10000})
    for version in (9, 13):
        topics = [{'topic': play.name(name), 'topic_id': play.topic_id(name), 'partitions': [{'partition': index} for index in indexes]}
                  for name, indexes in (('t0', (1, 0)), ('t1', (0, 9)))]
        play.call(schema.FETCH, version, {'replica_id': -1, 'max_wait_ms': 0, 'session_epoch': -1, 'topics': topics})


def transactional_batch_of_nobody(play):
    """Who gives no transactional id may not write in a transaction: that comes first, and holds for the whole request."""
    play.call(schema.CREATE_TOPICS, 5, {'topics': [{'name': play.name('t0'), 'num_partitions': 1, 'replication_factor': 1}], 'timeout_ms': 10000})
    within = {'partitions': [{'records': play.batch(stamp=(5, 0, 0), transactional=True)}]}
    play.call(schema.PRODUCE, 9, {'acks': -1, 'timeout_ms': 10000, 'topics': [{'name': play.name('unknown'), **within}, {
        'name': play.name('t0'), 'partitions': [{'records': play.batch()}]}]})


def what_cannot_be_a_batch(play):
    """It spoils the whole request, unless a transactional batch comes before it."""
    play.call(schema.CREATE_TOPICS, 5, {'topics': [{'name': play.name('t0'), 'num_partitions': 2, 'replication_factor': 1}], 'timeout_ms': 10000})
    good, within = play.batch(), play.batch(stamp=(5, 0, 0), transactional=True)
    for bad in (b'garbage of some length', play.batch(kind='magic 3'), play.batch(kind='no length')):
        play.call(schema.PRODUCE, 9, {'acks': 0, 'timeout_ms': 10000, 'topics': [{'name': play.name('t0'), 'partitions': [{'records': bad}]}]})
        for first, second in ((good, bad), (bad, good), (within, bad), (bad, within)):
            for named in ('t0', 'unknown'):
                for transactional_id in (None, play.name('x9')):
                    play.call(schema.PRODUCE, 9, {'transactional_id': transactional_id, 'acks': -1, 'timeout_ms': 10000, 'topics': [
                        {'name': play.name(named), 'partitions': [{'records': first}, {'index': 1, 'records': second}]}]})


def faults_of_a_batch_in_order(play):
    """The frame of a batch, its transaction, acks, the internal topic, the content of the batch."""
    play.call(schema.CREATE_TOPICS, 5, {'topics': [{'name': play.name('t0'), 'num_partitions': 1, 'replication_factor': 1}], 'timeout_ms': 10000})
    stamp = {'stamp': (5, 0, 0), 'transactional': True}
    for version in (9, 12):
        for acks in (1, 2):
            for kind in ('', 'crc', 'magic 1', 'nothing', 'two', 'control'):
                for name, batch in ((play.name('t0'), play.batch(kind=kind)), ('__consumer_offsets', play.batch(kind=kind)),
                                    (play.name('t0'), play.batch(kind=kind, **stamp))):
                    play.call(schema.PRODUCE, version, {'transactional_id': play.name('x9'), 'acks': acks, 'timeout_ms': 10000, 'topics': [
                        {'name': name, 'partitions': [{'records': batch}]}]})


def first_sequence_of_a_transaction(play):
    """A producer with an epoch for every transaction begins each at sequence 0; the partition is part of it all the same."""
    play.call(schema.CREATE_TOPICS, 5, {'topics': [{'name': play.name('t0'), 'num_partitions': 1, 'replication_factor': 1}], 'timeout_ms': 10000})
    play.call(schema.INIT_PRODUCER_ID, 4, {
        'transactional_id': play.name('x1'), 'transaction_timeout_ms': 60000, 'producer_id': -1, 'producer_epoch': -1})
    for sequence in (3, 0):
        play.call(schema.PRODUCE, 12, {'transactional_id': play.name('x1'), 'acks': -1, 'timeout_ms': 10000, 'topics': [{
            'name': play.name('t0'), 'partitions': [{'records': play.batch(stamp=play.stamp('x1', 't0', 0, sequence), transactional=True)}]}]})
        play.call(schema.DESCRIBE_TRANSACTIONS, 0, {'transactional_ids': [play.name('x1')]})
    play.call(schema.END_TXN, 5, {'transactional_id': play.name('x1'), 'producer_id': play.producer_id('x1'),
                                  'producer_epoch': play.producer_epoch('x1'), 'committed': True})
    for sequence in (1, 0):
        play.call(schema.PRODUCE, 12, {'transactional_id': play.name('x1'), 'acks': -1, 'timeout_ms': 10000, 'topics': [{
            'name': play.name('t0'), 'partitions': [{'records': play.batch(stamp=play.stamp('x1', 't0', 0, sequence), transactional=True)}]}]})


def largest_time_of_what_is_deleted(play):
    """The segment counts as a whole."""
    play.call(schema.CREATE_TOPICS, 5, {'topics': [{'name': play.name('t0'), 'num_partitions': 1, 'replication_factor': 1}], 'timeout_ms': 10000})
    play.call(schema.PRODUCE, 6, {'acks': 1, 'timeout_ms': 10000, 'topics': [{'name': play.name('t0'), 'partitions': [{'records': play.batch(3)}]}]})
    for offset in (1, 3):
        play.call(schema.DELETE_RECORDS, 1, {'topics': [{'name': play.name('t0'), 'partitions': [{'offset': offset}]}], 'timeout_ms': 10000})
        play.call(schema.LIST_OFFSETS, 8, {'replica_id': -1, 'topics': [{'name': play.name('t0'), 'partitions': [
            {'current_leader_epoch': -1, 'timestamp': -3}]}]})


def marker_of_a_coordinator_before_all(play):
    """A producer that has had no coordinator counts as one with that of epoch -1."""
    play.call(schema.CREATE_TOPICS, 5, {'topics': [{'name': play.name('t1'), 'num_partitions': 3, 'replication_factor': 1}], 'timeout_ms': 10000})
    for index, epoch in enumerate((-2, -1)):
        play.call(schema.WRITE_TXN_MARKERS, 1, {'markers': [{
            'topics': [{'name': play.name('t1'), 'partition_indexes': [index]}], 'coordinator_epoch': epoch}]})
    play.call(schema.WRITE_TXN_MARKERS, 1, {'markers': [{'producer_epoch': -2, 'topics': [{'name': play.name('t1'), 'partition_indexes': [2]}]}]})


def topic_named_in_two_ways(play):
    """Of a topic named by id and by name the name is answered; what names nothing, or too much, is answered each time."""
    play.call(schema.CREATE_TOPICS, 5, {'topics': [{'name': play.name('t0'), 'num_partitions': 1, 'replication_factor': 1}], 'timeout_ms': 10000})
    by_id, by_name = {'name': None, 'topic_id': play.topic_id('t0')}, {'name': play.name('t0')}
    for topics in ([by_id, by_name], [{'name': None}] * 2 + [{**by_id, **by_name}] * 2):
        play.call(schema.DELETE_TOPICS, 6, {'topics': topics, 'timeout_ms': 10000})


def election_of_nothing(play):
    """Where nothing is named, nobody asks what kind of election it is."""
    for topics in (None, []):
        play.call(schema.ELECT_LEADERS, 2, {'election_type': 2, 'topic_partitions': topics, 'timeout_ms': 1000})


def null_before_its_time(play):
    """Null in a version that does not know it cannot be read, which ends the connection."""
    for version in (0, 1, 9, 10):
        play.call(schema.METADATA, version, {'topics': None})
        play.call(schema.METADATA, version, {'topics': [{'name': None}]})
    for version in (1, 2):
        play.call(schema.OFFSET_FETCH, version, {'group_id': play.name('g0'), 'topics': None})


def kind_of_resource_that_is_none(play):
    """It spoils the whole request."""
    for kind in (3, 32):
        play.call(schema.DESCRIBE_CONFIGS, 1, {'resources': [{'resource_type': 2, 'resource_name': play.name('t0')}, {'resource_type': kind}]})


def offsets_of_no_group(play):
    """Whether there is a group comes before whether there is a transaction."""
    play.call(schema.CREATE_TOPICS, 5, {'topics': [{'name': play.name('t1'), 'num_partitions': 3, 'replication_factor': 1}], 'timeout_ms': 10000})
    for version in (4, 5):
        for group in ('', play.name('g0')):
            play.call(schema.TXN_OFFSET_COMMIT, version, {'group_id': group, 'topics': [{'name': play.name('t1'), 'partitions': [{}]}]})


def offsets_of_a_topic_named_twice(play):
    """Answered twice as it was named, unless something does not exist: then once."""
    play.call(schema.CREATE_TOPICS, 5, {'topics': [{'name': play.name('t0'), 'num_partitions': 1, 'replication_factor': 1}], 'timeout_ms': 10000})
    play.call(schema.OFFSET_COMMIT, 9, {'group_id': play.name('g1'), 'generation_id_or_member_epoch': -1, 'topics': [
        {'name': play.name('t0'), 'partitions': [{}]}]})
    for more in ([{}], [{}, {'partition_index': 1}]):
        play.call(schema.OFFSET_DELETE, 0, {'group_id': play.name('g1'), 'topics': [
            {'name': play.name('t0'), 'partitions': [{}]}, {'name': play.name('t0'), 'partitions': more}]})


def offsets_of_no_topic(play):
    """A topic that is not there is answered even where no partition of it is named."""
    play.call(schema.CREATE_TOPICS, 5, {'topics': [{'name': play.name('t0'), 'num_partitions': 1, 'replication_factor': 1}], 'timeout_ms': 10000})
    play.call(schema.OFFSET_COMMIT, 9, {'group_id': play.name('g1'), 'generation_id_or_member_epoch': -1, 'topics': [
        {'name': play.name('t0'), 'partitions': [{}]}]})
    play.call(schema.OFFSET_DELETE, 0, {'group_id': play.name('g1'), 'topics': [{'name': play.name('unknown')}]})


def group_that_refused_its_first_member(play):
    """It is there all the same, without members."""
    for protocol_type, protocols in (('consumer', []), ('', [{'name': 'range'}])):
        group = play.name(f'g{len(protocols)}')
        play.call(schema.JOIN_GROUP, 5, {'group_id': group, 'session_timeout_ms': 30000, 'rebalance_timeout_ms': 200,
                                         'protocol_type': protocol_type, 'protocols': protocols})
        play.call(schema.DESCRIBE_GROUPS, 4, {'groups': [group]})
        play.call(schema.LIST_GROUPS, 4, {})
        play.call(schema.DELETE_GROUPS, 2, {'groups_names': [group]})


def feature_named_twice(play):
    """The last holds."""
    for levels in ((2, 99), (99, 2)):
        play.call(schema.UPDATE_FEATURES, 1, {'timeout_ms': 10000, 'validate_only': True, 'updates': [
            {'feature': 'transaction.version', 'max_version_level': level, 'upgrade_type': 1} for level in levels]})


def configs_named_twice_or_null(play):
    """That comes before what is wrong with their values."""
    play.call(schema.CREATE_TOPICS, 5, {'topics': [{'name': play.name('t1'), 'num_partitions': 3, 'replication_factor': 1}], 'timeout_ms': 10000})
    for first in ({}, {'name': 'x'}, {'value': 'x'}):
        play.call(schema.INCREMENTAL_ALTER_CONFIGS, 1, {'resources': [{'resource_type': 2, 'resource_name': play.name('t1'), 'configs': [
            {'config_operation': 2, 'value': 'n'}, first]}]})


def regular_expression_of_who_leaves(play):
    """It is looked at when it is new to a member, after the member."""
    member = {'group_id': play.name('c0'), 'member_id': play.name('m0'), 'rebalance_timeout_ms': 60000, 'subscribed_topic_regex': '('}
    play.call(schema.CREATE_TOPICS, 5, {'topics': [{'name': play.name('t0'), 'num_partitions': 1, 'replication_factor': 1}], 'timeout_ms': 10000})
    for regex, epoch in (('(', -1), ('(', 1), ('(', 0), ('t', 0), ('(', 9), ('(', -1)):
        play.call(schema.CONSUMER_GROUP_HEARTBEAT, 1, {**member, 'subscribed_topic_regex': regex, 'member_epoch': epoch, 'topic_partitions': []})


def min_insync_of_all_brokers(play):
    """With eligible leader replicas the cluster keeps it, and no broker has one of its own."""
    for name in ('', '1'):
        play.call(schema.INCREMENTAL_ALTER_CONFIGS, 1, {'resources': [{'resource_type': 4, 'resource_name': name, 'configs': [
            {'name': 'min.insync.replicas', 'config_operation': 1}]}], 'validate_only': True})
        play.call(schema.ALTER_CONFIGS, 2, {'resources': [{'resource_type': 4, 'resource_name': name, 'configs': []}], 'validate_only': True})
        play.call(schema.INCREMENTAL_ALTER_CONFIGS, 1, {'resources': [{'resource_type': 4, 'resource_name': name, 'configs': [
            {'name': 'min.insync.replicas', 'value': '1'}]}], 'validate_only': True})


def first_batch_that_does_not_fit(play):
    """Where the rest of max_bytes is less than the first batch, nothing is said of transactions; with no rest, that there are none."""
    topics = [play.name('t0'), play.name('t1')]
    play.call(schema.CREATE_TOPICS, 5, {'topics': [{'name': name, 'num_partitions': 1, 'replication_factor': 1} for name in topics], 'timeout_ms': 10000})
    for name in topics:
        play.call(schema.PRODUCE, 9, {'acks': -1, 'timeout_ms': 10000, 'topics': [{'name': name, 'partitions': [{'records': play.batch()}]}]})
    for max_bytes in (1, 100, 1000):
        for isolation in (0, 1):
            play.call(schema.FETCH, 5, {'replica_id': -1, 'max_wait_ms': 1, 'max_bytes': max_bytes, 'isolation_level': isolation, 'topics': [
                {'topic': name, 'partitions': [{'partition': 0, 'log_start_offset': -1, 'partition_max_bytes': 1048576}]} for name in topics]})


def script(session):
    """A pasted session as a script of the oracle, whose names are its own."""
    def play(recorder):
        recorder.prefix += f"-{session.__name__}"
        session(Play(recorder))
    play.__name__ = session.__name__
    return play


SCRIPTS = [script(session) for session in (no_partitions, operations_on_groups, operations_on_no_topic, special_time_of_no_topic,
                                           markers_of_nobody, many_partitions_of_a_name_given_twice,
                                           assignments_of_too_many_partitions, configs_before_topics, epochs_below_none,
                                           last_fetched_epoch_of_an_empty_log, transaction_of_no_name,
                                           partitions_that_are_missing, transactional_batch_of_nobody,
                                           what_cannot_be_a_batch, faults_of_a_batch_in_order,
                                           first_sequence_of_a_transaction, largest_time_of_what_is_deleted,
                                           marker_of_a_coordinator_before_all, topic_named_in_two_ways, election_of_nothing,
                                           null_before_its_time, kind_of_resource_that_is_none, offsets_of_no_group,
                                           offsets_of_no_topic, offsets_of_a_topic_named_twice, group_that_refused_its_first_member, feature_named_twice,
                                           configs_named_twice_or_null, regular_expression_of_who_leaves, min_insync_of_all_brokers,
                                           first_batch_that_does_not_fit)]
