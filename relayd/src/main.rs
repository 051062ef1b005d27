//! `odi-relayd`.

fn main() {}
