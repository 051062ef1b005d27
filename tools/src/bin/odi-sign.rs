//! `odi-sign`.

fn main() {}
