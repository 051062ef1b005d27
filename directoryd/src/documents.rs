//! What is made from an entry and a choice of relays for programs other than ours. Pure: plain data in, text out.

mod digest_line;
mod explanation;
mod metalink;
mod mirror_list;

pub use digest_line::digest_line;
pub use explanation::{Explained, ExplainedMirror, Explanation, PassedOver};
pub use metalink::Metalink;
pub use mirror_list::{Mirror, Whose, media_type, mirror_list, names_files};
