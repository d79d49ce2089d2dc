//! What takes a while, beside the window.

use std::time::Duration;

use futures::channel::mpsc;
use iced::Task;

use super::Message;

/// The largest file that goes into the composer.
const MAX_FILE: usize = 64 * 1024;

/// The desktop's program for links; where it fails the user is told.
pub(super) async fn open(url: String) -> Result<(), String> {
    open::that_detached(&url).map_err(|error| error.to_string())
}

/// Shows the newest line of the chat, which is anchored at its end.
pub(super) fn to_end() -> Task<Message> {
    let end = iced::widget::scrollable::RelativeOffset { x: 0.0, y: 0.0 };
    iced::widget::operation::snap_to(crate::conference::LIST, end)
}

/// A text file of the user's choice, by the desktop's own dialog; empty where he chose none.
pub(super) async fn read_file() -> Result<String, String> {
    let Some(file) = rfd::AsyncFileDialog::new().set_title("Insert a text file").pick_file().await
    else {
        return Ok(String::new());
    };
    let bytes = file.read().await;
    if bytes.len() > MAX_FILE {
        return Err("This file is over 64 kB. Send a link to it instead.".to_owned());
    }
    String::from_utf8(bytes).map_err(|_| "This file is not text.".to_owned())
}

/// One tick, later.
pub(super) fn later(after: Duration) -> Task<Message> {
    let (sender, receiver) = mpsc::unbounded();
    let spawned = std::thread::Builder::new().name("toast".to_owned()).spawn(move || {
        std::thread::sleep(after);
        let _ = sender.unbounded_send(Message::Tick);
    });
    if spawned.is_err() { Task::none() } else { Task::stream(receiver) }
}

/// Ticks from a thread that ends with the subscription.
pub(super) fn ticks(period: Duration) -> impl futures::Stream<Item = Message> {
    let (mut sender, receiver) = mpsc::channel(1);
    let spawned = std::thread::Builder::new().name("ticks".to_owned()).spawn(move || {
        loop {
            std::thread::sleep(period);
            if sender.try_send(Message::Tick).is_err_and(|error| error.is_disconnected()) {
                return;
            }
        }
    });
    if let Err(error) = spawned {
        tracing::warn!(%error, "no meters");
    }
    receiver
}
