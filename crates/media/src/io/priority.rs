//! Real-time priority for the media thread, where the system grants it.

/// Asks for it; without it the thread works as well, only less evenly on a busy machine.
#[cfg(unix)]
pub(super) fn raise() {
    use thread_priority::{
        RealtimeThreadSchedulePolicy, ThreadPriority, ThreadPriorityValue, ThreadSchedulePolicy,
        set_thread_priority_and_policy, thread_native_id,
    };
    let Ok(value) = ThreadPriorityValue::try_from(PRIORITY) else { return };
    let policy = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo);
    let priority = ThreadPriority::Crossplatform(value);
    match set_thread_priority_and_policy(thread_native_id(), priority, policy) {
        Ok(()) => tracing::debug!("the media thread has real-time priority"),
        Err(reason) => tracing::debug!(?reason, "the media thread has no real-time priority"),
    }
}

/// Nothing to ask for here.
#[cfg(not(unix))]
pub(super) fn raise() {}

/// Below the sound server, above everything ordinary.
#[cfg(unix)]
const PRIORITY: u8 = 10;
