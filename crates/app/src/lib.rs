//! Parlour, the desktop application.
