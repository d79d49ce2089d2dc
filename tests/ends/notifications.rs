//! A server of notifications as small as can be: it remembers what it was told.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use zbus::OwnedVariant;

use super::process::within;

/// A notification that was told.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The server's number; the same where it replaced one.
    pub id: u32,
    /// Its first line.
    pub title: String,
    /// What stands below.
    pub body: String,
    /// Whether it stays until it is withdrawn.
    pub is_critical: bool,
    /// When it was told.
    pub at: Instant,
}

/// What was told and closed.
#[derive(Debug, Default)]
struct Book {
    shown: Vec<Shown>,
    closed: Vec<u32>,
}

/// The server.
pub struct Notifications {
    book: Arc<Mutex<Book>>,
    _connection: zbus::Connection,
}

struct Interface(Arc<Mutex<Book>>);

#[zbus::interface(name = "org.freedesktop.Notifications")]
impl Interface {
    fn get_capabilities(&self) -> Vec<String> {
        vec!["body".to_owned(), "body-markup".to_owned()]
    }

    fn get_server_information(&self) -> (String, String, String, String) {
        ("test".to_owned(), "Parlour".to_owned(), "1".to_owned(), "1.2".to_owned())
    }

    #[expect(clippy::too_many_arguments, reason = "the specification has so many")]
    fn notify(
        &mut self,
        _application: String,
        replaces: u32,
        _icon: String,
        title: String,
        body: String,
        _actions: Vec<String>,
        hints: HashMap<String, OwnedVariant>,
        _timeout: i32,
    ) -> u32 {
        let mut book = self.0.lock().unwrap();
        let id = if replaces == 0 { book.shown.len() as u32 + 1 } else { replaces };
        let urgency = hints.get("urgency").and_then(|value| u8::try_from(value.clone()).ok());
        let is_critical = urgency == Some(2);
        book.shown.push(Shown { id, title, body, is_critical, at: Instant::now() });
        id
    }

    fn close_notification(&mut self, id: u32) {
        self.0.lock().unwrap().closed.push(id);
    }
}

impl Notifications {
    /// Serves on that bus.
    pub fn serve(address: &str) -> Self {
        let book = Arc::new(Mutex::new(Book::default()));
        let builder = zbus::connection::Builder::address(address)
            .name("org.freedesktop.Notifications")
            .serve_at("/org/freedesktop/Notifications", Interface(Arc::clone(&book)));
        let connection = zbus::block_on(builder.build()).expect("the bus takes the server");
        Self { book, _connection: connection }
    }

    /// Waits for a notification.
    #[track_caller]
    pub fn expect(&self, so: impl Fn(&Shown) -> bool) -> Shown {
        let mut found = None;
        within(Duration::from_secs(15), || {
            found = self.book.lock().unwrap().shown.iter().find(|shown| so(shown)).cloned();
            found.is_some()
        });
        found.unwrap_or_else(|| panic!("not told: {:#?}", self.book.lock().unwrap()))
    }

    /// How many were told, replaced ones too.
    pub fn told(&self) -> usize {
        self.book.lock().unwrap().shown.len()
    }

    /// Whether one was withdrawn.
    pub fn is_closed(&self, id: u32) -> bool {
        self.book.lock().unwrap().closed.contains(&id)
    }
}
