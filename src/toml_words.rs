//! What is wrong with a TOML file, in the words of whoever wrote it.

/// Line, from 1, and reason of an error in `text`.
pub(crate) fn line_and_reason(text: &str, error: &toml::de::Error) -> (usize, String) {
    let offset = error.span().map_or(0, |span| span.start);
    let line = text.bytes().take(offset).filter(|&b| b == b'\n').count() + 1;
    (line, reason(error.message()))
}

/// The parser's message, which speaks of types of a program, said for people. What is not known
/// stays as it is.
fn reason(message: &str) -> String {
    if let Some(("field", key, known)) = unknown(message) {
        return match nearest(&key, &known) {
            Some(nearest) => format!("there is no setting '{key}'; did you mean '{nearest}'?"),
            None => format!(
                "there is no setting '{key}' here; there are {}",
                known.join(", ")
            ),
        };
    }
    if let Some((_, value, known)) = unknown(message) {
        return format!("'{value}' is not known; it can be {}", known.join(", "));
    }
    if let Some(key) = message.strip_prefix("missing field ") {
        return format!("{} is missing", key.trim_matches('`'));
    }
    let wrong = ["invalid type: ", "invalid value: "]
        .iter()
        .find_map(|start| message.strip_prefix(start))
        .and_then(|rest| rest.rsplit_once(", expected "));
    if let Some((found, expected)) = wrong {
        return format!(
            "{} does not belong here, but {}",
            found_words(found),
            expected_words(expected)
        );
    }
    message.lines().collect::<Vec<_>>().join(", ")
}

/// Kind, name and known names of serde's message ``unknown field `devise`, expected one of
/// `device`, `averaging` ``.
fn unknown(message: &str) -> Option<(&str, String, Vec<String>)> {
    let (kind, rest) = message.strip_prefix("unknown ")?.split_once(' ')?;
    let mut quoted = rest.split('`').skip(1).step_by(2).map(str::to_owned);
    Some((kind, quoted.next()?, quoted.collect()))
}

fn nearest(key: &str, known: &[String]) -> Option<String> {
    known
        .iter()
        .map(|other| (strsim::jaro_winkler(key, other), other))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, other)| other.clone())
}

/// serde's `string "yes"`, `` integer `5` ``, `map`.
fn found_words(found: &str) -> String {
    let (kind, value) = found.split_once(' ').unwrap_or((found, ""));
    let value = value.trim_start_matches("point ").trim_matches('`');
    match (kind, value) {
        ("string", value) => format!("the text {value}"),
        ("integer" | "floating" | "boolean", value) if !value.is_empty() => value.to_owned(),
        ("sequence", _) => "a list".to_owned(),
        ("map", _) => "a table".to_owned(),
        _ => found.replace('`', ""),
    }
}

fn expected_words(expected: &str) -> String {
    match expected {
        "a boolean" => "true or false",
        "a string" | "path string" | "string only" => "text in quotes",
        "a sequence" => "a list in [ ]",
        "u16" => "a whole number from 0 to 65535",
        "f32" | "f64" | "floating point number" => "a number",
        other if other.starts_with("struct ") || other == "a map" => "a table",
        other => other,
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_said_for_people() {
        for (message, expected) in [
            (
                "invalid type: string \"yes\", expected a boolean",
                "the text \"yes\" does not belong here, but true or false",
            ),
            (
                "invalid value: integer `70000`, expected u16",
                "70000 does not belong here, but a whole number from 0 to 65535",
            ),
            (
                "invalid type: map, expected a sequence",
                "a table does not belong here, but a list in [ ]",
            ),
            (
                "unknown variant `red`, expected one of `auto`, `always`, `never`",
                "'red' is not known; it can be auto, always, never",
            ),
            (
                "unknown field `adress`, expected one of `on`, `address`",
                "there is no setting 'adress'; did you mean 'address'?",
            ),
            ("missing field `rule`", "rule is missing"),
        ] {
            assert_eq!(reason(message), expected);
        }
    }
}
