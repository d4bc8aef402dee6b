//! The cookie without which PulseAudio lets nobody in.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

/// Bytes in a PulseAudio cookie.
const COOKIE_LEN: usize = 256;

/// Sees to it that there is a cookie file. PulseAudio and PipeWire refuse a client that sends none, even one whom they
/// would let in without looking at it; their own library makes one where there is none, and so do we. cpal's client
/// looks only at PULSE_COOKIE, ~/.config/pulse/cookie and ~/.pulse-cookie.
pub(super) fn pulse_cookie() -> Result<(), String> {
    let home = std::env::home_dir().unwrap_or_default();
    let usual = home.join(".config/pulse/cookie");
    let named = std::env::var_os("PULSE_COOKIE").map(PathBuf::from);
    let existing = named
        .into_iter()
        .chain([usual.clone(), home.join(".pulse-cookie")])
        .find(|path| path.exists());
    if let Some(path) = existing {
        return match std::fs::read(&path) {
            Ok(cookie) if cookie.len() == COOKIE_LEN => Ok(()),
            Ok(cookie) => Err(format!(
                "PulseAudio's cookie file '{}' has {} bytes instead of {COOKIE_LEN}: delete it",
                path.display(),
                cookie.len()
            )),
            Err(error) => Err(format!(
                "PulseAudio's cookie file '{}' cannot be read ({error})",
                path.display()
            )),
        };
    }
    make_cookie(&usual).map_err(|error| {
        format!(
            "PulseAudio lets in no program without a cookie file, and '{}' cannot be written ({error}): \
             make PULSE_COOKIE name a file of {COOKIE_LEN} bytes",
            usual.display()
        )
    })
}

fn make_cookie(path: &Path) -> io::Result<()> {
    // The server's own, where its library looks for it and cpal's client does not.
    let elsewhere = std::env::var_os("XDG_CONFIG_HOME")
        .and_then(|folder| std::fs::read(PathBuf::from(folder).join("pulse/cookie")).ok())
        .filter(|cookie| cookie.len() == COOKIE_LEN);
    let cookie = if let Some(cookie) = elsewhere {
        cookie
    } else {
        let mut cookie = vec![0; COOKIE_LEN];
        File::open("/dev/urandom")?.read_exact(&mut cookie)?;
        cookie
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(mut file) => file.write_all(&cookie),
        // Another program was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}
