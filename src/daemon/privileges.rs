//! Gives up root after the ports are bound.

use std::fs;

use anyhow::{Context, bail};

/// True if we are root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Becomes the user with this name, with its own group and no others. Must run before any thread starts:
/// Linux keeps the user id per thread.
///
/// Does nothing when we are not root. Errors: no such user, a refusal of the system.
pub fn become_user(name: &str) -> anyhow::Result<()> {
    if !is_root() {
        tracing::debug!(user = name, "not root: `user` has no effect");
        return Ok(());
    }
    let (uid, gid) = look_up(name)?;
    let (uid, gid) = (rustix::process::Uid::from_raw(uid), rustix::process::Gid::from_raw(gid));
    rustix::thread::set_thread_groups(&[gid]).context("cannot give up supplementary groups")?;
    rustix::thread::set_thread_res_gid(gid, gid, gid).context("cannot change the group")?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).context("cannot change the user")?;
    if is_root() {
        bail!("still root after becoming `{name}`");
    }
    Ok(())
}

/// User and group id of a user in `/etc/passwd`.
fn look_up(name: &str) -> anyhow::Result<(u32, u32)> {
    let passwd = fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
    entry(&passwd, name)
        .with_context(|| format!("no user `{name}` in /etc/passwd; create it, or change `user`"))
}

/// Finds a user in the text of `/etc/passwd`.
fn entry(passwd: &str, name: &str) -> Option<(u32, u32)> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next() != Some(name) {
            return None;
        }
        Some((fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_whole() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nmail:x:8:12:mail:/var/mail:/usr/sbin/nologin\n";
        assert_eq!(entry(passwd, "mail"), Some((8, 12)));
        assert_eq!(entry(passwd, "mai"), None);
        assert_eq!(entry("broken", "broken"), None);
    }
}
