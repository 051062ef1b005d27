//! Saying that a test could not run here, so that nobody takes silence for success.

/// Prints why the test is skipped; fails it where `ODI_SKIP=fail` says that nothing may be skipped.
pub(crate) fn skip(reason: &str) {
    let forbidden = std::env::var("ODI_SKIP").as_deref() == Ok("fail");
    assert!(!forbidden, "skipped, and a skip is a failure here: {reason}");
    odi_fixtures::tell!("SKIPPED: {reason}");
}
