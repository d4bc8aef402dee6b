//! The list of metadata of iTunes in MP4 files, and the tables of positions that move with it.

use super::{
    Change, Field, Source, Splice, TagError, any_text, be32, be64, damaged, id3, replaced,
};

/// The file, and the metadata in it.
#[derive(Debug)]
pub(super) struct Mp4 {
    moov: Atom,
    /// The atoms that hold the list, from the outermost on, as far as they are there.
    path: Vec<Atom>,
    /// Entries of the list, whole atoms.
    entries: Vec<Vec<u8>>,
    /// Free bytes right behind the list.
    free: Option<Atom>,
    /// Tables of positions in the file.
    tables: Vec<Table>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Atom {
    at: u64,
    len: u64,
    /// 8, or 16 with a long length; 0 for the length stands for "up to the end of the file".
    head: u64,
    to_end: bool,
    kind: [u8; 4],
}

impl Atom {
    fn end(&self) -> u64 {
        self.at + self.len
    }

    fn body(&self) -> u64 {
        self.at + self.head
    }
}

/// Positions, one after the other.
#[derive(Debug)]
struct Table {
    at: u64,
    wide: bool,
    /// Bytes from one to the next.
    values: Vec<(u64, u64)>,
}

/// The path to the list in an MP4 file.
const PATH: [&[u8; 4]; 3] = [b"udta", b"meta", b"ilst"];

/// Free bytes behind a list that is made.
const PADDING: usize = 1_024;

const ITUNES: &str = "com.apple.iTunes";

/// Text in UTF-8.
const TEXT: u32 = 1;

fn atom_bytes(kind: &[u8], body: &[u8]) -> Vec<u8> {
    let mut out = ((body.len() + 8) as u32).to_be_bytes().to_vec();
    out.extend(kind);
    out.extend(body);
    out
}

/// The atoms in `from..to`.
fn atoms(source: &mut Source<'_>, from: u64, to: u64) -> Result<Vec<Atom>, TagError> {
    let mut atoms = Vec::new();
    let mut at = from;
    while at + 8 <= to {
        let head = source.up_to(at, 16)?;
        let kind = [head[4], head[5], head[6], head[7]];
        let stated = be32(&head);
        let (len, n_head) = match stated {
            0 => (to - at, 8),
            1 if head.len() == 16 => (be64(&head[8..]), 16),
            _ => (u64::from(stated), 8),
        };
        // Metadata of QuickTime ends with four zeros.
        if stated == 0 && kind == [0; 4] {
            break;
        }
        let atom = Atom {
            at,
            len,
            head: n_head,
            to_end: stated == 0,
            kind,
        };
        if len < n_head || at.checked_add(len).is_none_or(|end| end > to) {
            return damaged(format!(
                "atom '{}' at byte {at} is longer than what holds it",
                super::latin1(&kind)
            ));
        }
        at += len;
        atoms.push(atom);
    }
    Ok(atoms)
}

fn find(atoms: &[Atom], kind: &[u8]) -> Option<Atom> {
    atoms.iter().find(|atom| atom.kind == kind).copied()
}

/// Atoms within bytes that were read.
fn within(mut bytes: &[u8]) -> Result<Vec<&[u8]>, TagError> {
    let mut out = Vec::new();
    while bytes.len() >= 8 {
        let len = be32(bytes) as usize;
        let Some((atom, behind)) = bytes.split_at_checked(len).filter(|_| len >= 8) else {
            return damaged("an entry of its metadata is longer than they are");
        };
        out.push(atom);
        bytes = behind;
    }
    Ok(out)
}

impl Mp4 {
    pub(super) fn read(source: &mut Source<'_>) -> Result<Self, TagError> {
        // A recording that broke off may end within its sound; what is said of that does not matter
        // here.
        let end = source.len;
        let top = atoms(source, 0, end)?;
        let Some(moov) = find(&top, b"moov") else {
            return damaged("it has no 'moov'");
        };
        let mut path = Vec::new();
        let mut children = atoms(source, moov.body(), moov.end())?;
        let mut tables = Vec::new();
        for track in children.iter().filter(|atom| &atom.kind == b"trak") {
            tables.extend(positions(source, track)?);
        }
        for fragment in top.iter().filter(|atom| &atom.kind == b"moof") {
            tables.extend(bases(source, fragment)?);
        }
        if top.iter().any(|atom| &atom.kind == b"mfra") {
            let mfra = find(&top, b"mfra").unwrap_or(moov);
            tables.extend(random_access(source, &mfra)?);
        }
        let mut free = None;
        let mut entries = Vec::new();
        for kind in PATH {
            let Some(atom) = find(&children, kind) else {
                break;
            };
            let mut body = atom.body();
            if kind == b"meta" {
                // A full atom in MP4; in QuickTime it is none.
                let start = source.up_to(body, 8)?;
                if start.get(4..8) != Some(b"hdlr") {
                    body += 4;
                }
                let inner = atoms(source, body, atom.end())?;
                let handler = match find(&inner, b"hdlr") {
                    Some(handler) => source.up_to(handler.body() + 8, 4)?,
                    None => Vec::new(),
                };
                if handler != b"mdir" {
                    break;
                }
                children = inner;
            } else if kind == b"ilst" {
                free = find(&children, b"free").filter(|free| free.at == atom.end());
                let bytes = source.exactly(body, atom.end() - body)?;
                entries = within(&bytes)?.into_iter().map(<[u8]>::to_vec).collect();
            } else {
                children = atoms(source, body, atom.end())?;
            }
            path.push(atom);
        }
        Ok(Self {
            moov,
            path,
            entries,
            free,
            tables,
        })
    }

    pub(super) fn values(&self, field: Field) -> Vec<String> {
        let mut values = Vec::new();
        for entry in self.entries.iter().filter(|entry| is_field(entry, field)) {
            for data in within(&entry[8..]).unwrap_or_default() {
                if &data[4..8] != b"data" || data.len() < 16 {
                    continue;
                }
                let value = &data[16..];
                if &entry[4..8] == b"gnre" {
                    let number = value.iter().fold(0_u32, |sum, &b| sum << 8 | u32::from(b));
                    let name = u8::try_from(number.wrapping_sub(1))
                        .ok()
                        .and_then(id3::v1_name);
                    values.extend(name.map(str::to_owned));
                } else {
                    values.push(any_text(value));
                }
            }
        }
        values
    }

    pub(super) fn edit(&self, changes: &[Change]) -> Result<Vec<Splice>, TagError> {
        let mut entries = self.entries.clone();
        for change in changes {
            let new = if change.values.is_empty() {
                Vec::new()
            } else {
                vec![entry(change)]
            };
            entries = replaced(&entries, |entry| is_field(entry, change.field), new);
        }
        let list = atom_bytes(b"ilst", &entries.concat());
        let mut splices = Vec::new();
        let (at, old, mut new) = match &self.path[..] {
            [.., ilst] if self.path.len() == 3 => (ilst.at, ilst.len, list),
            // Metadata without a list: it is put at their end.
            [_, meta] => (meta.end(), 0, list),
            _ => {
                let mut handler = vec![0; 8];
                handler.extend(b"mdirappl");
                handler.extend([0; 9]);
                let mut meta = vec![0; 4];
                meta.extend(atom_bytes(b"hdlr", &handler));
                meta.extend(&list);
                meta.extend(atom_bytes(b"free", &[0; PADDING]));
                let meta = atom_bytes(b"meta", &meta);
                match self.path.first() {
                    Some(udta) => (udta.body(), 0, meta),
                    None => (self.moov.end(), 0, atom_bytes(b"udta", &meta)),
                }
            }
        };
        let mut len = old;
        let grown = new.len() as i64 - old as i64;
        if let Some(free) = self.free.filter(|_| old > 0 && grown != 0) {
            // Free bytes take up the difference, and nothing moves.
            let left = free.len as i64 - grown;
            if let Ok(left) = usize::try_from(left)
                && (left == 0 || left >= 8)
            {
                if left > 0 {
                    new.extend(atom_bytes(b"free", &vec![0; left - 8]));
                }
                len += free.len;
            }
        }
        let grown = new.len() as i64 - len as i64;
        splices.push(Splice { at, len, new });
        if grown == 0 {
            return Ok(splices);
        }
        for atom in std::iter::once(&self.moov).chain(&self.path) {
            if self.path.len() == 3 && Some(atom) == self.path.last() {
                continue;
            }
            if atom.to_end {
                continue;
            }
            let size = atom.len.saturating_add_signed(grown);
            let (at, new) = if atom.head == 16 {
                (atom.at + 8, size.to_be_bytes().to_vec())
            } else {
                let size =
                    u32::try_from(size).map_err(|_| TagError::Unusual("it has no room".into()))?;
                (atom.at, size.to_be_bytes().to_vec())
            };
            splices.push(Splice {
                at,
                len: new.len() as u64,
                new,
            });
        }
        let moved_from = at + len;
        for table in &self.tables {
            for &(place, value) in &table.values {
                if value < moved_from {
                    continue;
                }
                let value = value.saturating_add_signed(grown);
                let new = if table.wide {
                    value.to_be_bytes().to_vec()
                } else {
                    u32::try_from(value)
                        .map_err(|_| TagError::Unusual("its sound would lie beyond 4 GiB".into()))?
                        .to_be_bytes()
                        .to_vec()
                };
                splices.push(Splice {
                    at: table.at + place,
                    len: new.len() as u64,
                    new,
                });
            }
        }
        Ok(splices)
    }
}

fn own_name(entry: &[u8]) -> Option<String> {
    let mut names = within(entry.get(8..)?).ok()?.into_iter();
    let text = |atom: &[u8]| any_text(atom.get(12..).unwrap_or_default());
    let mean = names.find(|atom| &atom[4..8] == b"mean").map(text)?;
    let name = names.find(|atom| &atom[4..8] == b"name").map(text)?;
    (mean == ITUNES).then_some(name)
}

fn is_field(entry: &[u8], field: Field) -> bool {
    let kind = &entry[4..8];
    match field {
        Field::Genre => kind == b"\xa9gen" || kind == b"gnre",
        Field::Comment => kind == b"\xa9cmt",
        Field::Own(name) => {
            kind == b"----" && own_name(entry).is_some_and(|own| own.eq_ignore_ascii_case(name))
        }
    }
}

fn entry(change: &Change) -> Vec<u8> {
    let mut body = Vec::new();
    let kind = match change.field {
        Field::Genre => b"\xa9gen",
        Field::Comment => b"\xa9cmt",
        Field::Own(name) => {
            for (kind, text) in [(b"mean", ITUNES), (b"name", name)] {
                let mut full = vec![0; 4];
                full.extend(text.as_bytes());
                body.extend(atom_bytes(kind, &full));
            }
            b"----"
        }
    };
    for value in &change.values {
        let mut data = TEXT.to_be_bytes().to_vec();
        data.extend([0; 4]);
        data.extend(value.as_bytes());
        body.extend(atom_bytes(b"data", &data));
    }
    atom_bytes(kind, &body)
}

/// The one atom at the end of a path of kinds.
fn descend(
    source: &mut Source<'_>,
    from: &Atom,
    kinds: &[&[u8; 4]],
) -> Result<Option<Vec<Atom>>, TagError> {
    let mut children = atoms(source, from.body(), from.end())?;
    for kind in kinds {
        let Some(atom) = find(&children, *kind) else {
            return Ok(None);
        };
        children = atoms(source, atom.body(), atom.end())?;
    }
    Ok(Some(children))
}

/// Positions of a track's chunks.
fn positions(source: &mut Source<'_>, track: &Atom) -> Result<Vec<Table>, TagError> {
    let Some(children) = descend(source, track, &[b"mdia", b"minf", b"stbl"])? else {
        return Ok(Vec::new());
    };
    let mut tables = Vec::new();
    for atom in children {
        let wide = match &atom.kind {
            b"stco" => false,
            b"co64" => true,
            _ => continue,
        };
        let bytes = source.exactly(atom.body(), atom.end() - atom.body())?;
        let n = be32(bytes.get(4..).unwrap_or_default()) as usize;
        let step = if wide { 8 } else { 4 };
        let Some(values) = bytes.get(8..8 + n.saturating_mul(step)) else {
            return damaged("a table of positions is longer than its atom");
        };
        let values = values
            .chunks_exact(step)
            .zip(0_u64..)
            .map(|(value, index)| {
                let value = if wide {
                    be64(value)
                } else {
                    be32(value).into()
                };
                (8 + index * step as u64, value)
            });
        tables.push(Table {
            at: atom.body(),
            wide,
            values: values.collect(),
        });
    }
    Ok(tables)
}

/// Positions that the tracks of a fragment are counted from, where they are stated.
fn bases(source: &mut Source<'_>, fragment: &Atom) -> Result<Vec<Table>, TagError> {
    let mut tables = Vec::new();
    for track in atoms(source, fragment.body(), fragment.end())? {
        if &track.kind != b"traf" {
            continue;
        }
        let children = atoms(source, track.body(), track.end())?;
        if let Some(head) = find(&children, b"tfhd") {
            let bytes = source.up_to(head.body(), 16)?;
            if bytes.len() == 16 && bytes[3] & 1 != 0 {
                tables.push(Table {
                    at: head.body(),
                    wide: true,
                    values: vec![(8, be64(&bytes[8..]))],
                });
            }
        }
    }
    Ok(tables)
}

/// Positions of fragments in the index at the end of a file.
fn random_access(source: &mut Source<'_>, mfra: &Atom) -> Result<Vec<Table>, TagError> {
    let mut tables = Vec::new();
    for atom in atoms(source, mfra.body(), mfra.end())? {
        if &atom.kind != b"tfra" {
            continue;
        }
        let bytes = source.exactly(atom.body(), atom.end() - atom.body())?;
        if bytes.len() < 16 {
            return damaged("its index of fragments breaks off");
        }
        let wide = bytes[0] == 1;
        let numbers = u64::from(bytes[11]);
        let behind = (numbers >> 4 & 3) + (numbers >> 2 & 3) + (numbers & 3) + 3;
        let own = if wide { 16 } else { 8 };
        let step = own + behind;
        let n = u64::from(be32(&bytes[12..]));
        let mut values = Vec::new();
        for index in 0..n {
            let place = 16 + index * step + own / 2;
            let Some(value) = bytes.get(place as usize..(place + own / 2) as usize) else {
                return damaged("its index of fragments breaks off");
            };
            let value = if wide {
                be64(value)
            } else {
                be32(value).into()
            };
            values.push((place, value));
        }
        tables.push(Table {
            at: atom.body(),
            wide,
            values,
        });
    }
    Ok(tables)
}
