//! Our own icons, embedded.

use iced::Color;
use iced::widget::{Svg, svg};

macro_rules! icons {
    ($($(#[$doc:meta])* $name:ident = $file:literal),* $(,)?) => {
        /// One of our icons.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum Icon { $($(#[$doc])* $name),* }

        impl Icon {
            fn bytes(self) -> &'static [u8] {
                match self {
                    $(Self::$name => include_bytes!(concat!("../../../resources/icons/", $file, ".svg")),)*
                }
            }
        }
    };
}

icons! {
    /// Something went partly wrong.
    Alert = "alert",
    /// Further down.
    ArrowDown = "arrow-down",
    /// Back.
    ArrowLeft = "arrow-left",
    /// Chat.
    Chat = "chat",
    /// No chat.
    ChatOff = "chat-off",
    /// Done.
    Check = "check",
    /// More below.
    ChevronDown = "chevron-down",
    /// Waiting.
    Clock = "clock",
    /// Close.
    Close = "close",
    /// Copy.
    Copy = "copy",
    /// The Enter key.
    Enter = "enter",
    /// Leaves the program.
    External = "external",
    /// Add people.
    Invite = "invite",
    /// A password.
    Key = "key",
    /// The keys of a phone.
    Keypad = "keypad",
    /// Hang up.
    Leave = "leave",
    /// Private.
    Lock = "lock",
    /// Not encrypted.
    LockOpen = "lock-open",
    /// Microphone.
    Mic = "mic",
    /// Muted.
    MicOff = "mic-off",
    /// Several people.
    People = "people",
    /// A call.
    Phone = "phone",
    /// A call to us.
    PhoneIn = "phone-in",
    /// Again.
    Retry = "retry",
    /// Search.
    Search = "search",
    /// Speaker.
    Speaker = "speaker",
    /// A conference.
    Table = "table",
    /// One person.
    User = "user",
}

impl Icon {
    /// The icon in a colour and a size.
    pub fn view<'a>(self, size: f32, color: Color) -> Svg<'a> {
        let handle = svg::Handle::from_memory(self.bytes());
        svg(handle).width(size).height(size).style(move |_, _| svg::Style { color: Some(color) })
    }
}
