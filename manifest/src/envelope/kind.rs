//! The closed list of things that get signed, each with its name on the wire and its largest size.

use std::fmt;

/// What a signed payload is. The name is part of the signed bytes, so one kind can never pose as another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordKind {
    /// A directory's order to a relay: what to hold.
    Assign,
    /// What an auditor saw at a relay.
    Audit,
    /// A witness: the newest head it has seen of a catalog, and when.
    Cosig,
    /// A directory's denylist.
    Deny,
    /// A directory about itself.
    Directory,
    /// The newest state of a catalog.
    Head,
    /// What a relay holds.
    Inventory,
    /// A relay's farewell.
    Leave,
    /// A relay's application to a directory.
    RelayReg,
    /// Which keys may sign what for a catalog.
    Root,
    /// A key that takes itself out of service.
    SelfRevoke,
}

impl RecordKind {
    /// Every kind.
    pub const ALL: [Self; 11] = [
        Self::Assign,
        Self::Audit,
        Self::Cosig,
        Self::Deny,
        Self::Directory,
        Self::Head,
        Self::Inventory,
        Self::Leave,
        Self::RelayReg,
        Self::Root,
        Self::SelfRevoke,
    ];

    /// The type text of the envelope.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Assign => "odi/assign/1",
            Self::Audit => "odi/audit/1",
            Self::Cosig => "odi/cosig/1",
            Self::Deny => "odi/deny/1",
            Self::Directory => "odi/directory/1",
            Self::Head => "odi/head/1",
            Self::Inventory => "odi/inventory/1",
            Self::Leave => "odi/leave/1",
            Self::RelayReg => "odi/relay-reg/1",
            Self::Root => "odi/root/1",
            Self::SelfRevoke => "odi/selfrevoke/1",
        }
    }

    /// The kind of this type text.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The largest payload, in bytes. Readers know it before they fetch; an agent signs up to 256 KiB.
    #[must_use]
    pub const fn payload_bytes_max(self) -> usize {
        match self {
            Self::Cosig | Self::Leave | Self::SelfRevoke => 512,
            Self::Head => 4 * 1024,
            Self::Audit | Self::Directory | Self::RelayReg => 16 * 1024,
            Self::Root => 60 * 1024,
            Self::Assign | Self::Deny | Self::Inventory => 1024 * 1024,
        }
    }

    /// The largest envelope, in bytes: the payload and the most signatures around it.
    #[must_use]
    pub const fn envelope_bytes_max(self) -> usize {
        self.payload_bytes_max() + super::FRAME_BYTES_MAX
    }
}

impl fmt::Display for RecordKind {
    /// The name for people: the wire's without namespace and number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name().trim_start_matches("odi/").trim_end_matches("/1"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_and_parse() {
        for kind in RecordKind::ALL {
            assert_eq!(RecordKind::parse(kind.name()), Some(kind));
            assert!(kind.name().len() < 32);
        }
        assert_eq!(RecordKind::parse("odi/head/2"), None);
        assert_eq!(RecordKind::Head.to_string(), "head");
    }
}
