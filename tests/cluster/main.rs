//! pullgate behind a real API server.

fn main() {}
