//! Parlour, the desktop application: one window with home, incoming call and conference.

pub mod clean;
pub mod conference;
pub mod home;
pub mod icon;
pub mod incoming;
pub mod notify;
pub mod question;
pub mod scripting;
pub mod selectable;
pub mod sessions;
pub mod shortcut;
pub mod text;
pub mod theme;
pub mod ui;
pub mod window;

pub use window::{Options, Window, run};
