//! `genrescope model show`: the card of a model.

use std::{io::Write, path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};
use serde_json::Value;

use super::{Context, output_file::stdout, text};
use crate::{
    network::{BuiltIn, Model},
    source::model_file,
};

/// Arguments of `genrescope model`.
#[derive(Debug, Args)]
pub struct ModelArgs {
    #[command(subcommand)]
    command: ModelCommand,
}

#[derive(Debug, Subcommand)]
enum ModelCommand {
    /// List the models that are built in: what --model takes beside files.
    List,
    /// Print a model's card: what it hears, what it was trained on, how well it does, its licence.
    Show {
        /// The name of a model that is built in, or a model file; without it, the model in use.
        #[arg(value_name = "NAME|FILE")]
        file: Option<PathBuf>,
    },
}

/// Runs `genrescope model`.
///
/// # Errors
/// When the file cannot be read, is no model, or standard output fails.
pub fn run(args: ModelArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let ModelCommand::Show { file } = args.command else {
        let mut out = stdout();
        for model in BuiltIn::ALL {
            let (name, card) = (model.as_str(), Model::built_in(model).card().clone());
            let what = text::count(card.labels.len(), "label");
            writeln!(out, "{name:<10} {} ({what})", card.name)?;
        }
        return Ok(ExitCode::SUCCESS);
    };
    let model = match &file {
        Some(path) => model_file::load(path)?,
        None => context.load_model()?,
    };
    let mut card = model.card().clone();
    card.recipe = spread(&card.recipe);
    write!(stdout(), "{card}")?;
    Ok(ExitCode::SUCCESS)
}

/// `text` with each piece of JSON in it spread over lines: a setting a line, lists and small groups
/// on one.
fn spread(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let mut values = serde_json::Deserializer::from_str(&rest[open..]).into_iter::<Value>();
        let Some(Ok(value)) = values.next() else {
            out.push_str(&rest[..=open]);
            rest = &rest[open + 1..];
            continue;
        };
        let end = open + values.byte_offset();
        out.push_str(&rest[..open]);
        spread_value(&value, "  ", &mut out);
        rest = &rest[end..];
    }
    out + rest
}

/// Characters of a group that stands on one line.
const ONE_LINE: usize = 60;

fn spread_value(value: &Value, indent: &str, out: &mut String) {
    let whole = value.to_string();
    match value {
        Value::Object(settings) if whole.len() > ONE_LINE => {
            out.push_str("{\n");
            for (index, (key, value)) in settings.iter().enumerate() {
                out.push_str(&format!("{indent}\"{key}\": "));
                spread_value(value, &format!("{indent}  "), out);
                out.push_str(if index + 1 < settings.len() {
                    ",\n"
                } else {
                    "\n"
                });
            }
            out.push_str(&format!("{}}}", &indent[2..]));
        }
        _ => out.push_str(&whole),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipes_are_spread_over_lines() {
        let recipe = r#"fit with FILE = {"b":{"x":[1,2],"long":"................................................"},"a":0.0001}. 12 {epochs}"#;
        assert_eq!(
            spread(recipe),
            "fit with FILE = {\n  \"a\": 0.0001,\n  \"b\": {\n    \"long\": \
             \"................................................\",\n    \"x\": [1,2]\n  }\n}. 12 {epochs}"
        );
        assert_eq!(spread("no JSON {here"), "no JSON {here");
    }
}
