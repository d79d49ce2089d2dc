//! parlour-cli.
fn main() {}
