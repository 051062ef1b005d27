//! `odi-directoryd`.

fn main() {}
