//! A writer of MaxMind DB files, as small as the format allows: every network with a record of its own.

use std::net::IpAddr;

/// A value of a record.
pub(crate) enum Value<'a> {
    Text(&'a str),
    Number(u32),
    Map(Vec<(&'a str, Value<'a>)>),
}

/// Writes the control byte and what follows of its size, for a type up to 7.
fn control(out: &mut Vec<u8>, kind: u8, size: usize) {
    match size {
        0..29 => out.push(kind << 5 | u8::try_from(size).unwrap()),
        29..285 => out.extend([kind << 5 | 0x1d, u8::try_from(size - 29).unwrap()]),
        _ => panic!("a short writer for short values"),
    }
}

fn write(out: &mut Vec<u8>, value: &Value<'_>) {
    match value {
        Value::Text(text) => {
            control(out, 2, text.len());
            out.extend(text.as_bytes());
        }
        Value::Number(number) => {
            control(out, 6, 4);
            out.extend(number.to_be_bytes());
        }
        Value::Map(entries) => {
            control(out, 7, entries.len());
            for (key, value) in entries {
                write(out, &Value::Text(key));
                write(out, value);
            }
        }
    }
}

/// A node: where it goes for 0 and for 1.
#[derive(Clone, Copy)]
enum Branch {
    Nothing,
    Node(usize),
    Data(usize),
}

/// The bytes of a file for IPv6 (and IPv4 below `::/96`) with these networks.
pub(crate) fn file(kind: &str, networks: &[(&str, u8, Value<'_>)]) -> Vec<u8> {
    let mut nodes = vec![[Branch::Nothing; 2]];
    let mut data = Vec::new();
    for (address, length, value) in networks {
        let (bits, length) = match address.parse::<IpAddr>().unwrap() {
            IpAddr::V4(ip) => (u128::from(u32::from(ip)), usize::from(*length) + 96),
            IpAddr::V6(ip) => (u128::from(ip), usize::from(*length)),
        };
        let at = data.len();
        write(&mut data, value);
        let mut node = 0;
        for depth in 0..length {
            let side = usize::from(bits >> (127 - depth) & 1 == 1);
            if depth + 1 == length {
                nodes[node][side] = Branch::Data(at);
            } else if let Branch::Node(next) = nodes[node][side] {
                node = next;
            } else {
                nodes.push([Branch::Nothing; 2]);
                nodes[node][side] = Branch::Node(nodes.len() - 1);
                node = nodes.len() - 1;
            }
        }
    }
    let count = nodes.len();
    let mut out = Vec::new();
    for branch in nodes.iter().flatten() {
        let value = match branch {
            Branch::Nothing => count,
            Branch::Node(node) => *node,
            Branch::Data(at) => count + 16 + at,
        };
        out.extend(u32::try_from(value).unwrap().to_be_bytes());
    }
    out.extend([0; 16]);
    out.extend(data);
    out.extend(b"\xab\xcd\xefMaxMind.com");
    let number = |value: usize| Value::Number(u32::try_from(value).unwrap());
    // The version, the time and the list of languages have types of their own: a 16-bit number, a 64-bit one, an array.
    control(&mut out, 7, 9);
    for (key, value) in [("node_count", number(count)), ("database_type", Value::Text(kind))] {
        write(&mut out, &Value::Text(key));
        write(&mut out, &value);
    }
    for (key, value) in [
        ("record_size", 32u8),
        ("ip_version", 6),
        ("binary_format_major_version", 2),
        ("binary_format_minor_version", 0),
    ] {
        write(&mut out, &Value::Text(key));
        out.extend([5 << 5 | 1, value]);
    }
    write(&mut out, &Value::Text("build_epoch"));
    out.extend([4, 2, 0x69, 0x65, 0x92, 0x00]);
    write(&mut out, &Value::Text("languages"));
    out.extend([0, 4]);
    write(&mut out, &Value::Text("description"));
    write(&mut out, &Value::Map(vec![("en", Value::Text("written by a test"))]));
    out
}
