//! The tools: `odi-sign` for maintainers, `odi` for everyone else.
