//! The actor that wires SIP, media and conference together: all that the window and the command line see.
