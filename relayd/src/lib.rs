//! Hand over bytes: join, fill, serve, announce, leave.
