//! The safetensors file around a bundle: header, digest, tensors.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
};

use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Deserializer, de};
use sha2::{Digest, Sha256};

use super::{MAX_HEADER_BYTES, ModelError, Values, Weights};
use crate::{hexadecimal::hex, network::architecture::in_range};

/// What the digest is read as while it is computed.
pub(super) const ZERO_DIGEST: &str =
    "0000000000000000000000000000000000000000000000000000000000000000";

pub(super) fn header(file: &[u8]) -> Result<&[u8], ModelError> {
    let (length, rest) = file.split_at(8);
    let length = length
        .iter()
        .rev()
        .fold(0_u64, |length, &byte| length << 8 | u64::from(byte));
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    in_range(
        "size of the header in bytes",
        length,
        2,
        MAX_HEADER_BYTES.min(rest.len()),
    )?;
    Ok(&rest[..length])
}

pub(super) fn check_digest(file: &[u8], expected: &str) -> Result<String, ModelError> {
    let place = digest_place(file, expected)?;
    let mut hasher = Sha256::new();
    hasher.update(&file[..place]);
    hasher.update(ZERO_DIGEST);
    hasher.update(&file[place + ZERO_DIGEST.len()..]);
    let found = hex(&hasher.finalize());
    if found == expected {
        Ok(found)
    } else {
        Err(ModelError::Digest {
            found,
            expected: expected.to_owned(),
        })
    }
}

/// Where in the file the 64 digits of `digest` begin.
pub(super) fn digest_place(file: &[u8], digest: &str) -> Result<usize, ModelError> {
    if digest.len() != ZERO_DIGEST.len() || !digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(ModelError::field("sha256", digest, "64 hexadecimal digits"));
    }
    let header = header(file)?;
    let entry = format!("\"sha256\":\"{digest}\"");
    let place = header
        .windows(entry.len())
        .position(|window| window == entry.as_bytes());
    let place = place.ok_or_else(|| {
        ModelError::field("sha256", digest, "an entry written as \"sha256\":\"...\"")
    })?;
    Ok(8 + place + entry.len() - 1 - digest.len())
}

pub(super) fn text<'a>(
    metadata: &'a HashMap<String, String>,
    field: &str,
) -> Result<&'a str, ModelError> {
    metadata
        .get(field)
        .map(String::as_str)
        .ok_or_else(|| ModelError::Missing {
            field: field.into(),
        })
}

pub(super) fn json<T: de::DeserializeOwned>(
    metadata: &HashMap<String, String>,
    field: &str,
) -> Result<T, ModelError> {
    serde_json::from_str(text(metadata, field)?).map_err(|source| ModelError::Json {
        field: field.into(),
        source,
    })
}

pub(super) fn tensors(
    container: &SafeTensors<'_>,
) -> Result<BTreeMap<String, Weights>, ModelError> {
    let floats = |name: &str, bytes: &[u8]| -> Result<Vec<f32>, ModelError> {
        let (quads, rest) = bytes.as_chunks::<4>();
        in_range(
            format!("{name}: bytes beyond the last value"),
            rest.len(),
            0,
            0,
        )?;
        Ok(quads.iter().map(|quad| f32::from_le_bytes(*quad)).collect())
    };
    let mut tensors = BTreeMap::new();
    for (name, view) in container.iter() {
        let scale_of = name
            .strip_suffix(".scale")
            .and_then(|parent| container.tensor(parent).ok());
        if scale_of.is_some_and(|parent| parent.dtype() == Dtype::I8) {
            continue;
        }
        let shape = view.shape().to_vec();
        let weights = match view.dtype() {
            Dtype::F32 => Weights::new(&shape, floats(name, view.data())?)?,
            Dtype::I8 => {
                let field = format!("{name}.scale");
                let scale = container.tensor(&field).map_err(|_| ModelError::Missing {
                    field: field.clone(),
                })?;
                if scale.dtype() != Dtype::F32 {
                    return Err(ModelError::field(
                        format!("{field}: dtype"),
                        format!("{:?}", scale.dtype()),
                        "F32",
                    ));
                }
                let outputs = shape.first().copied().unwrap_or(0);
                if outputs == 0 || scale.shape() != [outputs] {
                    let found = format!("{:?}", scale.shape());
                    return Err(ModelError::field(
                        format!("{field}: shape"),
                        found,
                        format!("[{outputs}]"),
                    ));
                }
                let scales = floats(&field, scale.data())?;
                let int8 = view
                    .data()
                    .iter()
                    .map(|&byte| i8::from_le_bytes([byte]))
                    .collect();
                Weights {
                    shape,
                    values: Values::I8 { int8, scales },
                }
            }
            other => {
                return Err(ModelError::field(
                    format!("{name}: dtype"),
                    format!("{other:?}"),
                    "F32 or I8",
                ));
            }
        };
        tensors.insert(name.to_owned(), weights);
    }
    Ok(tensors)
}

/// A safetensors header, read only to find the metadata and names given twice (which JSON readers
/// let pass).
pub(super) struct Header {
    pub(super) metadata: HashMap<String, String>,
    pub(super) names: HashSet<String>,
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a safetensors header")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut metadata = None;
                let mut names = HashSet::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        if metadata
                            .replace(map.next_value::<Unique<String>>()?.0)
                            .is_some()
                        {
                            return Err(de::Error::custom("__metadata__ is given twice"));
                        }
                    } else {
                        map.next_value::<Unique<de::IgnoredAny>>()?;
                        if let Some(name) = names.replace(name) {
                            return Err(de::Error::custom(format!("tensor {name} is given twice")));
                        }
                    }
                }
                let metadata =
                    metadata.ok_or_else(|| de::Error::custom("__metadata__ is missing"))?;
                Ok(Header { metadata, names })
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

/// A JSON object without double keys.
struct Unique<T>(HashMap<String, T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Unique<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> de::Visitor<'de> for Visitor<T> {
            type Value = Unique<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Unique<T>, A::Error> {
                let mut entries = HashMap::new();
                while let Some((key, value)) = map.next_entry::<String, T>()? {
                    if entries.contains_key(&key) {
                        return Err(de::Error::custom(format!("{key} is given twice")));
                    }
                    entries.insert(key, value);
                }
                Ok(Unique(entries))
            }
        }
        deserializer.deserialize_map(Visitor(std::marker::PhantomData))
    }
}
