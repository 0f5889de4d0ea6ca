//! Stores from outside: what every backend must do, and what the local one does to its files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod blobs;
mod checking;
#[cfg(feature = "shared")]
mod cloud;
mod collecting;
mod concurrency;
mod damage;
mod fixture;
mod golden;
#[cfg(feature = "shared")]
mod interleaved;
mod keeping;
mod leasing;
mod leftovers;
mod performance;
#[cfg(feature = "shared")]
mod shared;
mod suite;
mod undoing;

use fixture::Home;

/// Hands the names of the suite's functions to another macro.
macro_rules! with_sentences {
    ($then:ident, $($with:tt)*) => {
        $then! { $($with)*;
            what_is_saved_is_loaded
            a_store_that_is_not_there_is_empty
            a_taken_name_is_refused_or_taken_over
            a_record_can_have_several_names
            a_name_that_another_record_has_is_refused
            a_name_that_is_taken_goes_from_one_record_to_the_other
            ids_and_their_prefixes_serve_as_names
            a_name_wins_over_an_id
            removing_by_name_frees_the_name_and_then_the_record
            removing_by_id_asks_before_it_takes_several_names
            an_edit_that_fails_changes_nothing
            an_edit_of_nothing_changes_nothing
            a_list_that_cannot_be_written_is_refused
            the_format_is_the_one_asked_for
            what_is_known_of_a_publication_is_replaced_as_a_whole
            a_published_list_keeps_its_bytes_until_it_is_edited
            sources_follow_the_entries
            records_come_newest_first
            the_history_tells_what_was_done
            a_held_record_is_not_removed
            an_expired_hold_is_kept_and_holds_nothing
            a_record_that_a_list_has_entries_of_is_not_removed
            a_copy_is_a_record_of_its_own
            a_push_is_noted_and_is_no_change
            what_nobody_names_or_holds_is_stale_after_a_while
            what_is_put_is_read_back
            what_is_something_else_is_not_kept
            entries_that_are_relied_on_are_there_whole
            what_nobody_holds_goes_and_is_counted
            what_two_lists_share_goes_with_the_second
            what_lists_in_lists_hold_stays
            what_can_be_undone_is_held_until_the_history_is_forgotten
            a_copy_holds_what_the_first_held
            one_at_a_time_has_a_tag_and_who_waits_names_the_holder
            a_lease_that_is_given_back_is_free_at_once
            the_lease_of_one_that_is_gone_is_free_in_a_while
            a_push_that_lives_is_told_from_one_that_is_gone
        }
    };
}

/// Each function of the suite as a test, over the store that a home gives.
macro_rules! behaviour {
    ($store:expr; $($sentence:ident)*) => {$(
        #[tokio::test]
        async fn $sentence() {
            let home = Home::new();
            suite::$sentence(&$store(&home)).await;
        }
    )*};
}

/// The functions of the suite in one test, where a server has to be started, over what `$store` gives for a prefix.
#[cfg(feature = "shared")]
macro_rules! one_after_another {
    ($store:expr; $($sentence:ident)*) => {$(
        suite::$sentence(&$store(stringify!($sentence))).await;
    )*};
}
#[cfg(feature = "shared")]
pub(crate) use {one_after_another, with_sentences};

mod local {
    use super::{Home, suite};

    with_sentences!(behaviour, Home::store);
    behaviour! { Home::store; only_the_last_thousand_changes_are_kept_one_by_one }
}

#[cfg(feature = "shared")]
mod memory {
    use super::{Home, suite};

    with_sentences!(behaviour, Home::memory);
    behaviour! { Home::memory; only_the_last_thousand_changes_are_kept_one_by_one }
}
