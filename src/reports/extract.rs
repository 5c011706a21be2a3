//! From the bytes of one attachment or file to the reports in it.
