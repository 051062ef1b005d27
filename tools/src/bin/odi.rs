//! `odi`.

fn main() {}
