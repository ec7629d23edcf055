//! The `staticstored` program.

fn main() {}
