//! SPF: may this host send mail in the name of this domain (RFC 7208)?

mod result;

pub use result::SpfResult;
