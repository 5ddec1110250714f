//! The contract of the log port: what every adapter must do, one test a promise, run over each of
//! them. The embedded log is always there; Kafka is tried when `HEADWATER_TEST_KAFKA` names bootstrap
//! servers, and `HEADWATER_TEST_REQUIRE=1` makes its absence a failure. What only the embedded log
//! promises stands in its own module.

#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "tests fail by panicking")]

mod embedded;
mod groups;
mod offsets;
mod producing;
mod reading;
mod topics;
mod transactions;
mod world;

/// Runs each promise over each adapter.
macro_rules! contract {
    ($($room:ident: $($promise:ident),+ $(,)?;)+) => {
        mod embedded_through_its_holder {
            $($(#[test] fn $promise() { crate::$room::$promise(&crate::embedded::sharing::guest_world()); })+)+
        }
        mod embedded_in_memory {
            $($(#[test] fn $promise() { crate::$room::$promise(&crate::world::World::in_memory()); })+)+
        }
        mod embedded_on_disk {
            $($(#[test] fn $promise() { crate::$room::$promise(&crate::world::World::on_disk()); })+)+
        }
        mod kafka {
            $($(#[test] fn $promise() {
                if let Some(world) = crate::world::World::on_kafka() {
                    crate::$room::$promise(&world);
                }
            })+)+
        }
    };
}

contract! {
    producing:
        records_are_read_back_in_the_order_they_were_sent,
        a_record_without_a_value_is_a_tombstone,
        a_traceparent_goes_there_and_back,
        a_record_that_is_too_large_is_refused,
        timestamps_do_not_fall_while_the_clock_goes_on;
    transactions:
        a_committed_transaction_is_seen_whole,
        an_open_transaction_hides_itself_and_all_behind_it,
        an_aborted_transaction_is_never_seen,
        a_commit_says_one_past_the_last_record_of_each_partition,
        an_empty_transaction_commits,
        a_transaction_of_offsets_alone_commits,
        records_and_offsets_are_committed_together,
        records_and_offsets_are_aborted_together,
        two_writers_in_turn_write_the_same_partitions,
        opening_a_writer_id_again_ends_what_was_left_open,
        a_fenced_writer_commits_nothing,
        a_rejected_record_spoils_its_transaction_only;
    groups:
        a_member_alone_owns_every_partition,
        a_partition_moves_only_after_its_release,
        a_member_that_leaves_hands_over_at_once,
        records_flow_only_after_resume,
        resume_rewinds_and_drops_what_was_fetched,
        a_poll_gives_at_most_max_records,
        a_paused_partition_is_silent,
        there_is_no_fence_before_the_first_assignment,
        a_stale_owner_commits_nothing,
        a_member_that_joins_under_the_same_instance_takes_over;
    offsets:
        offsets_set_by_hand_are_read_back,
        offsets_are_not_set_while_the_group_has_members,
        a_group_that_never_committed_has_no_offsets,
        asking_for_offsets_waits_for_open_transactions;
    reading:
        ends_count_markers_and_aborted_records,
        reading_goes_on_past_markers_and_aborted_records,
        reading_begins_in_the_middle_and_ends_before_its_end,
        reading_gives_at_most_max_and_goes_on_from_there,
        an_open_transaction_holds_reading_up,
        an_offset_that_is_not_held_is_out_of_range,
        an_offset_is_found_by_time,
        a_reader_follows_many_partitions,
        a_range_is_read_to_its_present_end;
    topics:
        a_topic_is_described_as_it_was_created,
        a_topic_that_exists_is_left_as_it_is,
        what_does_not_exist_is_missing,
        a_cluster_has_one_name;
}
