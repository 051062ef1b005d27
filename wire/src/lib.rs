//! What crosses a socket: routes, ranges, messages, the accept loop, the vetted client, catalog sync, verified fetch.
