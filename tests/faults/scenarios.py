"""Every fault that a release must survive, as data: what is done, what must hold, how soon, and where.

A test of the suite finds its promise and its bound here; a test (`test_scenarios.py`) makes sure that
each place exists and that the suite has no other. Places outside this folder try a fault where the
part that meets it is at home; the oracle of this folder does not watch them.
"""

from dataclasses import dataclass

ONCE = "each committed event is delivered, has one effect, in order; nothing else does"
ALONE = "what is bad waits or becomes a dead letter, with its reason; everything else flows"
PROVEN = "an erasure counts as done when, and only when, it was proven by who had to"


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One fault."""

    name: str
    promise: str
    bound: float
    """Seconds after the last fault is over within which everything committed has its effect.

    For a place outside this folder: within which the test itself has to be over.
    """
    tests: tuple[str, ...]
    """`file::function`, below `tests`."""


def _one(name: str, promise: str, bound: float, *tests: str) -> Scenario:
    return Scenario(name=name, promise=promise, bound=bound, tests=tests)


SCENARIOS = (
    # --- processes -------------------------------------------------------------------------------
    _one(
        "relay or consumer killed anywhere",
        ONCE,
        20,
        "faults/test_bus_crashes.py::test_a_worker_that_dies_anywhere_loses_nothing_and_repeats_nothing",
    ),
    _one(
        "writer killed before its commit",
        ONCE,
        10,
        "faults/test_bus_crashes.py::test_a_writer_that_dies_before_its_commit_leaves_no_ghost",
    ),
    _one(
        "SIGTERM under load, rolling restart",
        ONCE,
        15,
        "faults/test_bus_crashes.py::test_a_rolling_restart_under_load_loses_nothing",
    ),
    _one(
        "handler that hangs past the shutdown",
        ONCE,
        10,
        "faults/test_bus_crashes.py::test_a_handler_that_hangs_past_the_shutdown_is_cut_and_done_again",
        "chassis/test_inbox.py::test_a_handler_that_hangs_has_failed",
    ),
    _one(
        "relay killed with its locks",
        ONCE,
        15,
        "faults/test_bus_crashes.py::test_a_relay_that_dies_with_its_locks_does_not_hold_up_the_next",
    ),
    _one(
        "2 and 4 relays, some killed",
        ONCE,
        20,
        "faults/test_bus_relays.py::test_relays_that_die_in_the_middle_leave_their_work_to_the_others",
        "chassis/test_relay.py::test_several_relays_share_the_work_and_keep_the_order",
    ),
    # --- servers ---------------------------------------------------------------------------------
    _one(
        "broker stopped or killed",
        ONCE,
        20,
        "faults/test_bus_servers.py::test_a_broker_that_goes_and_comes_back_loses_nothing",
        "journeys/test_killed.py::test_a_broker_that_dies_in_the_middle_and_comes_back_loses_nothing",
    ),
    _one(
        "memory or disk alarm",
        ONCE,
        15,
        "faults/test_bus_servers.py::test_an_alarm_stops_publishing_and_nothing_else",
    ),
    _one(
        "PostgreSQL restarted or killed",
        ONCE,
        15,
        "faults/test_bus_servers.py::test_a_database_server_that_goes_and_comes_back_loses_nothing",
        "journeys/test_killed.py::test_a_database_server_that_dies_in_the_middle_and_comes_back_loses_nothing",
        "chassis/test_inbox.py::test_nothing_is_dropped_or_dead_lettered_while_the_database_is_away",
    ),
    _one(
        "database connections terminated",
        ONCE,
        10,
        "faults/test_bus_database.py::test_connections_that_the_database_ends_lose_and_repeat_nothing",
        "chassis/test_relay.py::test_a_relay_whose_database_connection_is_cut_starts_over",
    ),
    _one(
        "connection pool exhausted",
        ONCE,
        10,
        "faults/test_bus_database.py::test_a_pool_without_a_connection_to_give_delays_and_fails_nothing",
    ),
    _one(
        "long open transaction",
        ONCE,
        10,
        "faults/test_bus_database.py::test_a_transaction_that_stays_open_holds_up_its_own_aggregate_only",
        "chassis/test_relay.py::test_a_transaction_that_commits_late_is_not_skipped",
    ),
    _one(
        "disk full",
        "refused by name; nothing promised is lost, nothing half written; goes on with room",
        120,
        "faults/test_full_disk.py::test_a_database_without_room_refuses_by_name_and_keeps_all_that_it_promised",
        "faults/test_full_disk.py::test_a_photo_that_finds_no_room_is_refused_and_the_one_before_stays",
        "faults/test_full_disk.py::test_a_ledger_without_room_takes_no_half_entry",
    ),
    # --- network ---------------------------------------------------------------------------------
    _one(
        "connections reset inside a window",
        ONCE,
        10,
        "faults/test_bus_network.py::test_connections_reset_in_the_middle_of_a_window_lose_and_repeat_nothing",
    ),
    _one(
        "two consumers lost one after the other",
        ONCE,
        10,
        "faults/test_bus_network.py::test_what_two_consumers_held_when_they_were_lost_is_taken_up_in_order",
    ),
    _one(
        "black hole for three heartbeats",
        ONCE,
        15,
        "faults/test_bus_network.py::test_a_black_hole_is_noticed_by_its_missing_heartbeats",
    ),
    _one(
        "200 ms of latency",
        ONCE,
        30,
        "faults/test_bus_network.py::test_two_hundred_milliseconds_of_latency_are_only_slow",
    ),
    # --- what the broker refuses -----------------------------------------------------------------
    _one(
        "nack by a full queue",
        ONCE,
        30,
        "faults/test_bus_refusals.py::test_a_queue_that_is_full_delays_and_loses_nothing",
        "chassis/test_relay.py::test_a_full_queue_makes_the_relay_come_again_later",
    ),
    _one(
        "unroutable key, missing exchange",
        ALONE,
        20,
        "faults/test_bus_refusals.py::test_rows_that_the_broker_cannot_take_wait_for_an_operator_alone",
        "chassis/test_relay.py::test_an_unroutable_command_is_parked_with_its_aggregate_alone_and_can_be_released",
        "chassis/test_relay.py::test_a_missing_exchange_quarantines_its_rows_and_not_their_neighbours",
    ),
    # --- messages --------------------------------------------------------------------------------
    _one(
        "duplicates, also after a day and a replay",
        "an event that had its effect, or was let go, has none again",
        10,
        "faults/test_bus_messages.py::test_what_is_said_again_after_a_day_and_after_a_replay_has_no_second_effect",
        "chassis/test_inbox.py::test_a_repeated_event_has_no_second_effect",
        "chassis/test_dead_letters.py::test_a_replayed_dead_letter_takes_effect_once",
    ),
    _one(
        "reordering",
        "nothing is dropped for being older",
        10,
        "faults/test_bus_messages.py::test_what_comes_in_another_order_all_takes_effect",
    ),
    _one(
        "poison: raises, undecodable, unknown version",
        ALONE,
        15,
        "faults/test_bus_messages.py::test_poison_becomes_dead_letters_and_its_neighbours_flow",
        "chassis/test_inbox.py::test_an_event_that_fails_every_time_becomes_a_dead_letter_and_frees_its_aggregate",
        "chassis/test_inbox.py::test_an_unknown_type_is_parked_until_a_release_that_knows_it",
        "chassis/test_inbox.py::test_what_is_no_cloud_event_goes_to_the_dead_letters_and_its_neighbours_flow",
        "chassis/test_inbox.py::test_many_failures_in_a_row_slow_the_consumer_down_instead_of_emptying_the_queue",
    ),
    _one(
        "poison: kills the process",
        ALONE,
        20,
        "faults/test_bus_crashes.py::test_an_event_that_kills_the_process_becomes_a_dead_letter_alone",
        "faults/test_bus_crashes.py::test_a_waiting_event_that_kills_the_process_does_so_five_times_and_no_more",
    ),
    _one(
        "clock 10 minutes off",
        ONCE,
        15,
        "faults/test_bus_messages.py::test_clocks_that_are_ten_minutes_off_delay_no_retry_and_use_none_up",
    ),
    _one(
        "command whose worker is killed",
        "a command is carried out until its worker has said so to the broker",
        30,
        "faults/test_bus_crashes.py::test_a_command_whose_worker_dies_before_the_acknowledgement_comes_again",
        "chassis/test_commands.py::test_a_command_in_hand_when_the_process_stops_comes_again",
    ),
    # --- partners and the protocol of erasure ----------------------------------------------------
    _one(
        "partner dead for days",
        "its own queue loses its oldest, its steps stay open and escalate; nobody else notices",
        120,
        "privacy/test_partner_lives.py::test_a_partner_that_never_reads_loses_its_own_oldest_and_harms_nobody",
        "privacy/test_escalations.py::test_a_partner_dead_for_long_is_told_in_few_mails_and_none_is_lost_with_the_mail_server",
    ),
    _one(
        "partner trying what it may not",
        "the broker refuses, or privacy does and tells; nothing of anybody else's is touched",
        120,
        "privacy/test_partners.py::test_a_partner_reads_its_own_queue_and_answers_and_can_do_nothing_else",
        "privacy/test_partner_lives.py::test_a_partner_cannot_reach_another_partner",
        "privacy/test_answers.py::test_a_partner_s_word_counts_for_itself_alone",
        "privacy/test_answers.py::test_a_hostile_partner_cannot_hold_up_the_answers_of_others",
        "privacy/test_answers.py::test_a_partner_cannot_have_somebody_erased",
    ),
    _one(
        "erasure: command or acknowledgement lost",
        PROVEN,
        120,
        "privacy/test_protocol.py::test_who_stays_silent_is_asked_again_less_and_less_often_and_never_taken_for_done",
        "partner/test_partner.py::test_a_connection_lost_while_an_answer_is_on_its_way_costs_only_a_repetition",
        "partner/test_partner.py::test_killed_between_forgetting_and_acknowledging_it_answers_after_its_restart",
    ),
    _one(
        "erasure: double, stranger, late",
        PROVEN,
        120,
        "erasure/test_repetition.py::test_a_command_takes_effect_once_and_is_answered_alike_each_time",
        "erasure/test_repetition.py::test_a_late_repetition_still_answers_under_the_manifest_of_its_evidence",
        "erasure/test_consumer.py::test_a_command_from_anybody_but_privacy_erases_nobody",
        "privacy/test_answers.py::test_an_answer_given_twice_counts_once",
        "privacy/test_answers.py::test_an_answer_that_proves_nothing_closes_nothing_and_is_shown",
        "privacy/test_protocol.py::test_a_late_wish_about_somebody_erased_changes_nothing",
    ),
    _one(
        "erasure: orchestrator killed at every transition",
        PROVEN,
        240,
        "faults/test_crash_points.py::test_a_service_that_dies_at_every_label_in_turn_ends_everything_once",
    ),
    # --- together --------------------------------------------------------------------------------
    _one(
        "random mix from a seed",
        ONCE,
        60,
        "faults/test_bus_servers.py::test_a_history_of_random_faults_adds_up",
    ),
    _one(
        "recovery to full rate",
        "the rate of effects is back after less than 10 s",
        10,
        "faults/test_bus_servers.py::test_the_rate_is_back_within_ten_seconds_of_the_end_of_each_fault",
    ),
)


def scenario_of(nodeid: str) -> Scenario | None:
    """The scenario that a test belongs to; its parameters and the folder `tests` do not matter."""
    place = nodeid.partition("[")[0].removeprefix("tests/")
    return next((one for one in SCENARIOS if place in one.tests), None)
