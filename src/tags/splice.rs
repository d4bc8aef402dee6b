//! Changes of a file as bytes that give way to others, and the file that they make.

use std::io::{self, Read, Seek, SeekFrom};

use super::{Source, TagError};

/// `len` bytes at `at` give way to `new`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Splice {
    /// Where.
    pub at: u64,
    /// How many go.
    pub len: u64,
    /// What comes.
    pub new: Vec<u8>,
}

impl Splice {
    pub(super) fn insert(at: u64, new: Vec<u8>) -> Self {
        Self { at, len: 0, new }
    }
}

/// Without the bytes that are the same before and after.
pub(super) fn trimmed(
    mut splices: Vec<Splice>,
    source: &mut Source<'_>,
) -> Result<Vec<Splice>, TagError> {
    splices.sort_by_key(|splice| splice.at);
    let mut out = Vec::new();
    for mut splice in splices {
        let old = source.exactly(splice.at, splice.len)?;
        let same = |pairs: &mut dyn Iterator<Item = (&u8, &u8)>| {
            pairs.take_while(|(old, new)| old == new).count()
        };
        let front = same(&mut old.iter().zip(&splice.new));
        let (old, new) = (&old[front..], &splice.new[front..]);
        let back = same(&mut old.iter().rev().zip(new.iter().rev()));
        let (n_old, n_new) = (old.len() - back, new.len() - back);
        splice.new = new[..n_new].to_vec();
        splice.at += front as u64;
        splice.len = n_old as u64;
        if splice.len > 0 || !splice.new.is_empty() {
            out.push(splice);
        }
    }
    Ok(out)
}

/// The file that splices make of another, as a stream.
#[derive(Debug)]
pub struct Spliced<'a, R> {
    old: R,
    splices: std::slice::Iter<'a, Splice>,
    next: Option<&'a Splice>,
    /// Where in the old file.
    at: u64,
    /// Of the current splice, what is still to be given out.
    new: &'a [u8],
}

impl<'a, R: Read + Seek> Spliced<'a, R> {
    /// `splices` must be in order.
    ///
    /// # Errors
    /// When `old` cannot be rewound.
    pub fn new(mut old: R, splices: &'a [Splice]) -> io::Result<Self> {
        old.seek(SeekFrom::Start(0))?;
        let mut splices = splices.iter();
        let next = splices.next();
        Ok(Self {
            old,
            splices,
            next,
            at: 0,
            new: &[],
        })
    }
}

impl<R: Read + Seek> Read for Spliced<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.new.is_empty() {
                return self.new.read(buffer);
            }
            let room = match self.next {
                Some(splice) if splice.at == self.at => {
                    self.new = &splice.new;
                    self.at += splice.len;
                    self.old.seek(SeekFrom::Start(self.at))?;
                    self.next = self.splices.next();
                    continue;
                }
                Some(splice) if splice.at < self.at => {
                    return Err(io::Error::other("two changes of one place"));
                }
                Some(splice) => usize::try_from(splice.at - self.at)
                    .map_or(buffer.len(), |n| n.min(buffer.len())),
                None => buffer.len(),
            };
            let n = self.old.read(&mut buffer[..room])?;
            self.at += n as u64;
            if n == 0 && self.next.is_some() && room > 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            return Ok(n);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_give_way_and_come_in_between() {
        let splice = |at, len, new: &str| Splice {
            at,
            len,
            new: new.into(),
        };
        let splices = [
            splice(0, 0, ">"),
            splice(2, 2, "xyz"),
            splice(5, 1, ""),
            splice(7, 0, "<"),
        ];
        let mut out = String::new();
        Spliced::new(io::Cursor::new(b"abcdefg"), &splices)
            .unwrap()
            .read_to_string(&mut out)
            .unwrap();
        assert_eq!(out, ">abxyzeg<");
        let beyond = [splice(9, 0, "x")];
        let mut made = Spliced::new(io::Cursor::new(b"abc"), &beyond).unwrap();
        assert!(made.read_to_end(&mut Vec::new()).is_err());
    }
}
