//! What a web server sends for a policy of MTA-STS.

use mailsonde::dns_health::gather::read_response;
use mailsonde::limits;

/// However the bytes come, nothing is read too early or otherwise; a body that is written is read, in chunks too.
pub fn check(data: &[u8]) {
    let whole = read_response(data, true);
    let ends = (0..data.len()).step_by(1 + data.len() / 300);
    for end in ends {
        match read_response(&data[..end], false) {
            Ok(None) => {}
            Ok(Some(early)) => assert_eq!(Ok(Some(early)), whole, "after {end} bytes"),
            Err(_) => assert!(whole.is_err(), "a fault after {end} bytes, {whole:?}"),
        }
    }
    match whole {
        Ok(Some(response)) => {
            assert!(response.body.len() <= limits::POLICY_BYTES && response.body.len() <= data.len());
            assert!(
                (200..1_000).contains(&response.status)
                    && (response.status == 200 || response.body.is_empty())
            );
        }
        Ok(None) => {
            assert!(data.len() <= limits::POLICY_HEAD_BYTES + limits::POLICY_BYTES * 2, "it waits for ever");
        }
        Err(fault) => assert!(!fault.to_string().is_empty()),
    }
    let mut plain = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", data.len()).into_bytes();
    plain.extend_from_slice(data);
    let mut chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for chunk in data.chunks(1 + data.len() / 7) {
        chunked.extend_from_slice(format!("{:x};a=b\r\n", chunk.len()).as_bytes());
        chunked.extend_from_slice(chunk);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    for text in [plain, chunked] {
        let read = read_response(&text, false);
        assert_eq!(read.ok().flatten().map(|response| response.body).as_deref(), Some(data));
    }
}
