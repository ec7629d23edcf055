#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| staticstored_fuzz::checks::owner(data));
