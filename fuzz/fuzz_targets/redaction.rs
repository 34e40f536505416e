#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| trailgate::fuzzing::redaction(data));
