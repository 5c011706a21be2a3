//! Streaming reader of aggregate report XML.
