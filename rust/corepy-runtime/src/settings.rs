//! Settings from environment variables.

/// The value of a variable; None where it is not set. An empty one counts as not set, as shells and
/// container files leave them.
pub fn value(name: &str) -> Option<String> {
    let value = std::env::var_os(name)?.to_string_lossy().into_owned();
    (!value.trim().is_empty()).then_some(value)
}
