#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| parlour_fuzz::stun(data));

#[cfg(not(fuzzing))]
fn main() {}
