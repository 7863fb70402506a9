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
        play.call(schema.FETCH, 12, {'replica_id': -1, 'max_wait_ms': 1, 'session_epoch': -1, 'topics': [
            {'topic': play.name('t1'), 'partitions': [{'last_fetched_epoch': epoch, 'partition_max_bytes': 1000}]}]})


def transaction_of_no_name(play):
    """An empty transactional id is no id."""
    play.call(schema.CREATE_TOPICS, 5, {'topics': [{'name': play.name('t1'), 'num_partitions': 3, 'replication_factor': 1}], 'timeout_ms': 10000})
    play.call(schema.INIT_PRODUCER_ID, 4, {
        'transactional_id': play.name('x1'), 'transaction_timeout_ms': 60000, 'producer_id': -1, 'producer_epoch': -1})
    play.call(schema.PRODUCE, 9, {'transactional_id': '', 'acks': 1, 'timeout_ms': 10000, 'topics': [{'name': play.name('t1'), 'partitions': [
        {'records': play.batch(stamp=play.stamp('x1', 't0', 0), transactional=True)}]}]})


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
                                           last_fetched_epoch_of_an_empty_log, transaction_of_no_name)]
