//! Virtual network, scripted phones and tones for tests.
