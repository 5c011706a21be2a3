//! A message's header fields and leaf parts, read within limits.
