//! One user agent against a peer that is written out message by message: rules of the RFCs that two of our own agents
//! would never put to the test.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test's clock must begin somewhere, and a test may panic"
)]

mod answers;
mod challenges;
mod dialogs;
mod failed_offers;
mod forking;
mod glare;
mod guards;
mod info;
mod keepalive;
mod limits;
mod matching;
mod messages;
mod notifier;
mod reason;
mod redirect;
mod refer;
mod registration;
mod reliable;
mod replaces;
mod resume;
mod script;
mod session_timer;
mod streams;
mod subscriptions;
mod tp;
mod transactions;
mod transfer;
mod update;
mod usages;
mod ways;
