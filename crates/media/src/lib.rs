//! RTP, codecs, jitter buffer and mixer; with feature io: sockets, the media thread and sound devices.
