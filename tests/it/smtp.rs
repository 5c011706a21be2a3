//! To be filled: smtp.
