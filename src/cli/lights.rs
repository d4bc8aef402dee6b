//! Lights: the feeds that need more than an address, and `genrescope looks`.

use std::{
    io::Write as _,
    net::IpAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};

use super::{Context, complain, output_file::stdout, text::settings_text};
use crate::{
    genre::Labels,
    network::Model,
    realtime::Counters,
    sink::{
        Feeds, SinkError, SinkRunner,
        artnet::{self, ArtNetConfig, ArtNetSink},
        look::Look,
        midi::{MidiSink, MidiTable, SystemPort},
        sacn::{self, SacnConfig, SacnSink},
        wled::{self, Strips, WledSink, WledSound},
    },
};

/// Universe of channels that name none, where nothing else is said.
const UNIVERSE: u16 = 1;

/// What desks show as the source.
const SOURCE_NAME: &str = "genrescope";

/// MIDI port that other programs connect to.
const VIRTUAL: &str = "virtual";

const MIDI_HEADING: &str = "MIDI (docs/feeds/midi.md)";

/// Receivers of one kind, at most.
const MOST: usize = 16;

/// Lights on the command line of `genrescope listen`.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "sACN, Art-Net and WLED (docs/feeds/lights.md)")]
pub struct LightsArgs {
    /// Also send DMX by sACN (E1.31) to this receiver, HOST or HOST:PORT, or to 'multicast'; may be
    /// given several times.
    #[arg(long, value_name = "HOST")]
    pub sacn: Vec<String>,

    /// Also send DMX by Art-Net to this node, HOST or HOST:PORT; may be given several times.
    #[arg(long, value_name = "HOST")]
    pub artnet: Vec<String>,

    /// What lights show for each genre and state: a look file [default: channel N is full while
    /// genre N is shown].
    #[arg(long, value_name = "FILE")]
    pub look: Option<PathBuf>,

    /// Universe of channels that name none, where the look file says nothing [default: 1].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=63_999))]
    pub universe: Option<u16>,

    /// Priority of sACN, 0 to 200; desks have 100 and win over less [default: 90].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=200))]
    pub sacn_priority: Option<u8>,

    /// What desks show as the source of sACN [default: genrescope].
    #[arg(long, value_name = "NAME")]
    pub sacn_name: Option<String>,

    /// Art-Net's Port-Address (0 to 32767) of universe 1; the others follow [default: 0].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=32_767))]
    pub artnet_first: Option<u16>,

    /// Allow Art-Net to broadcast addresses, for old nodes.
    #[arg(long)]
    pub artnet_broadcast: bool,

    /// Address of this machine to send sACN and Art-Net from, which says by which network.
    #[arg(long, value_name = "IP")]
    pub lights_interface: Option<IpAddr>,

    /// Also move this WLED strip with the sound, and switch its presets with the genre; may be
    /// given several times.
    #[arg(long, value_name = "HOST")]
    pub wled: Vec<String>,

    /// Also send MIDI: to a virtual port, or to the port of that name (a unique part is enough).
    #[arg(long, value_name = "PORT", num_args = 0..=1, default_missing_value = VIRTUAL, help_heading = MIDI_HEADING)]
    pub midi: Option<String>,

    /// Notes, controllers and programs: the `[midi]` table of a map file (docs/feeds/midi.md).
    #[arg(long, value_name = "FILE", help_heading = MIDI_HEADING)]
    pub midi_map: Option<PathBuf>,
}

impl LightsArgs {
    /// Is there a light that moves with the sound?
    pub(super) fn moves(&self, context: &Context) -> bool {
        !self.wled.is_empty() || !context.config.lights.wled.is_empty()
    }
}

/// Lights in the configuration file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lights {
    /// sACN receivers, `HOST:PORT`, or `multicast`.
    pub sacn: Vec<String>,
    /// Art-Net nodes, `HOST:PORT`.
    pub artnet: Vec<String>,
    /// WLED controllers.
    pub wled: Vec<String>,
    /// A look file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub look: Option<PathBuf>,
    /// Universe of channels that name none; without it, 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub universe: Option<u16>,
    /// 0 to 200; without it, 90.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sacn_priority: Option<u8>,
    /// What desks show as the source; without it, the program's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sacn_name: Option<String>,
    /// Port-Address of universe 1; without it, 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artnet_first: Option<u16>,
    /// Allow broadcast addresses.
    pub artnet_broadcast: bool,
    /// Address of this machine to send from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<IpAddr>,
    /// A MIDI port, or `virtual`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub midi: Option<String>,
    /// A map file with `[midi]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub midi_map: Option<PathBuf>,
}

impl Lights {
    /// Checks what is named in the configuration file.
    ///
    /// # Errors
    /// The setting, and in words what is wrong with it.
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        let lists = [
            (
                "lights.sacn",
                &self.sacn,
                sacn::check_target as fn(&str) -> _,
            ),
            ("lights.artnet", &self.artnet, artnet::check_target),
            ("lights.wled", &self.wled, wled::check_target),
        ];
        for (key, targets, check) in lists {
            if targets.len() > MOST {
                return Err((
                    key,
                    format!("{} receivers; {MOST} are allowed", targets.len()),
                ));
            }
            for target in targets {
                check(target).map_err(|error: SinkError| (key, error.to_string()))?;
            }
        }
        Ok(())
    }

    /// Every setting that is not set, with the value that is used then.
    pub(super) fn fill(&mut self) {
        self.universe.get_or_insert(UNIVERSE);
        self.sacn_priority.get_or_insert(sacn::DEFAULT_PRIORITY);
        self.sacn_name.get_or_insert_with(|| SOURCE_NAME.to_owned());
        self.artnet_first.get_or_insert(0);
    }
}

/// Reads a look file and checks it against the labels.
///
/// # Errors
/// When it cannot be read or shown; the message names the file.
pub(super) fn load_look(
    path: &Path,
    labels: &Labels,
    universe: u16,
) -> anyhow::Result<(Look, Vec<String>)> {
    let name = path.display();
    let text = settings_text("look file", path)?;
    let look = Look::from_toml(&text, &name.to_string(), universe)?;
    let remarks = look
        .check(labels)
        .map_err(|why| anyhow::anyhow!("look file '{name}': {why}"))?;
    Ok((look, remarks))
}

/// Adds the lights that the command line names, or else the configuration.
///
/// # Errors
/// When the look cannot be read, or a receiver can never work.
pub(super) fn add_feeds(
    feeds: &mut Feeds,
    args: &LightsArgs,
    context: &Context,
    (model, counters): (&Model, &Arc<Counters>),
) -> anyhow::Result<()> {
    add_midi(feeds, args, context)?;
    let settings = &context.config.lights;
    let given = super::listen::given;
    let to_sacn = given(&args.sacn, &settings.sacn);
    let to_artnet = given(&args.artnet, &settings.artnet);
    let to_wled = given(&args.wled, &settings.wled);
    if to_sacn.is_empty() && to_artnet.is_empty() && to_wled.is_empty() {
        // A look in the configuration file waits for a receiver on the command line.
        let without = [
            ("--look", args.look.is_some()),
            ("--universe", args.universe.is_some()),
            ("--sacn-priority", args.sacn_priority.is_some()),
            ("--sacn-name", args.sacn_name.is_some()),
            ("--artnet-first", args.artnet_first.is_some()),
            ("--artnet-broadcast", args.artnet_broadcast),
            ("--lights-interface", args.lights_interface.is_some()),
        ];
        for (option, given) in without {
            anyhow::ensure!(
                !given,
                "{option} needs a receiver: --sacn HOST, --artnet HOST or --wled HOST"
            );
        }
        return Ok(());
    }
    let labels = feeds.hello().labels.clone();
    let universe = args.universe.or(settings.universe).unwrap_or(UNIVERSE);
    let named = args.look.as_ref().or(settings.look.as_ref());
    let loaded = context.config.load_named(
        ("lights.look", settings.look.as_ref()),
        args.look.as_ref(),
        |path| Ok((path.clone(), load_look(path, &labels, universe)?)),
    )?;
    let look = match loaded {
        None => Look::plain(&labels, universe),
        Some((path, (look, remarks))) => {
            for remark in remarks {
                complain(format_args!("{}: {remark}", path.display()));
            }
            look
        }
    };
    for target in to_wled {
        let strips = match named {
            Some(_) if look.has_strips() => Strips::Of(Box::new(look.clone())),
            _ => Strips::InOrder,
        };
        let presets = WledSink::new(target, strips)?;
        feeds.add(SinkRunner::spawn(Box::new(presets), feeds.hello())?);
        let sound = WledSound::new(target, counters, model.front_end())?;
        feeds.add(SinkRunner::spawn(Box::new(sound), feeds.hello())?);
    }
    let interface = args.lights_interface.or(settings.interface);
    for target in to_sacn {
        let name = args.sacn_name.as_ref().or(settings.sacn_name.as_ref());
        let sink = SacnSink::new(SacnConfig {
            target: target.clone(),
            priority: args
                .sacn_priority
                .or(settings.sacn_priority)
                .unwrap_or(sacn::DEFAULT_PRIORITY),
            source_name: name.map_or(SOURCE_NAME, String::as_str).to_owned(),
            interface,
            look: look.clone(),
        })?;
        feeds.add(SinkRunner::spawn(Box::new(sink), feeds.hello())?);
    }
    for target in to_artnet {
        let sink = ArtNetSink::new(ArtNetConfig {
            target: target.clone(),
            allow_broadcast: args.artnet_broadcast || settings.artnet_broadcast,
            first: args.artnet_first.or(settings.artnet_first).unwrap_or(0),
            interface,
            look: look.clone(),
        })
        .map_err(|error| match error {
            SinkError::Multicast { .. } => {
                anyhow::anyhow!("{error}, or allow it with --artnet-broadcast")
            }
            other => other.into(),
        })?;
        feeds.add(SinkRunner::spawn(Box::new(sink), feeds.hello())?);
    }
    Ok(())
}

fn add_midi(feeds: &mut Feeds, args: &LightsArgs, context: &Context) -> anyhow::Result<()> {
    let settings = &context.config.lights;
    let Some(port) = args.midi.as_ref().or(settings.midi.as_ref()) else {
        anyhow::ensure!(
            args.midi_map.is_none(),
            "--midi-map needs a port: --midi [PORT]"
        );
        return Ok(());
    };
    let table = context.config.load_named(
        ("lights.midi_map", settings.midi_map.as_ref()),
        args.midi_map.as_ref(),
        |path| load_midi_map(path),
    )?;
    let table = table.unwrap_or_default();
    table.numbers(&feeds.hello().labels)?;
    let port = SystemPort::new(Some(port.as_str()).filter(|port| *port != VIRTUAL))?;
    let sink = MidiSink::new(port, table);
    feeds.add(SinkRunner::spawn(Box::new(sink), feeds.hello())?);
    Ok(())
}

/// Reads the `[midi]` of a map file.
///
/// # Errors
/// When it cannot be read or says what cannot be.
pub(super) fn load_midi_map(path: &Path) -> anyhow::Result<MidiTable> {
    let text = settings_text("map file", path)?;
    Ok(MidiTable::from_toml(&text, &path.display().to_string())?)
}

/// Arguments of `genrescope looks`.
#[derive(Debug, Args)]
pub struct LooksArgs {
    #[command(subcommand)]
    command: LooksCommand,
}

#[derive(Debug, Subcommand)]
enum LooksCommand {
    /// Say what a look file shows when, and what is wrong with it.
    Check {
        /// The look file.
        file: PathBuf,
        /// Universe of channels that name none, where the file says nothing.
        #[arg(long, value_name = "N", default_value_t = UNIVERSE, value_parser = clap::value_parser!(u16).range(1..=63_999))]
        universe: u16,
    },
    /// Print a look file to begin with.
    Example,
}

/// Runs `genrescope looks`.
///
/// # Errors
/// When the file cannot be read or shown, or standard output fails.
pub fn run(args: LooksArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let mut out = stdout();
    match args.command {
        LooksCommand::Check { file, universe } => {
            let model = context.load_model()?;
            let (look, remarks) = load_look(&file, model.labels(), universe)?;
            write!(out, "{}", look.describe(model.labels()))?;
            for remark in remarks {
                complain(format_args!("{}: {remark}", file.display()));
            }
        }
        LooksCommand::Example => {
            write!(
                out,
                "{}",
                include_str!("../../docs/feeds/look.example.toml")
            )?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
