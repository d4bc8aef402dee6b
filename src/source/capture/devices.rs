//! Finding devices: what there is, which one is meant, and how it is to be opened.

use cpal::traits::{DeviceTrait, HostTrait};

use super::{
    CaptureError, Latency, Selection, SourceInfo, SourceKind, Sources,
    pulse::pulse_cookie,
    stream::{PlannedStream, backend},
};
use crate::units::SampleRate;

/// Sample frames per period that cpal asks PulseAudio for where we do not ask it ourselves; its
/// default gives fragments of two seconds.
#[cfg(not(target_os = "linux"))]
const PULSE_PERIOD: u32 = 4096;

/// Name of cpal's host for PulseAudio and pipewire-pulse.
pub(super) const PULSE: &str = "PulseAudio";

/// Name of its host for ALSA.
const ALSA: &str = "ALSA";

/// All sources of the default sound system; with `all_hosts`, of every sound system there is.
///
/// # Errors
/// [`CaptureError::NoHost`] when no sound system answers.
pub fn sources(all_hosts: bool) -> Result<Sources, CaptureError> {
    let found = devices(if all_hosts { Hosts::All } else { Hosts::First })?;
    Ok(Sources {
        list: found.devices.into_iter().map(|(info, _)| info).collect(),
        notes: found.notes,
    })
}

/// The source that `wanted` names: by id, by name, or by a part of either that only one has.
///
/// # Errors
/// [`CaptureError::NotFound`] and [`CaptureError::Ambiguous`], with the candidates.
pub fn choose<'a>(sources: &'a [SourceInfo], wanted: &str) -> Result<&'a SourceInfo, CaptureError> {
    let lower = wanted.to_lowercase();
    let rules: [&dyn Fn(&SourceInfo) -> bool; 4] = [
        &|source| source.id == wanted,
        &|source| source.name == wanted,
        &|source| source.id.to_lowercase() == lower || source.name.to_lowercase() == lower,
        &|source| {
            source.id.to_lowercase().contains(&lower) || source.name.to_lowercase().contains(&lower)
        },
    ];
    let list = |sources: &[&SourceInfo]| sources.iter().map(ToString::to_string).collect();
    for rule in rules {
        let hits: Vec<&SourceInfo> = sources.iter().filter(|source| rule(source)).collect();
        match hits[..] {
            [] => {}
            [only] => return Ok(only),
            _ => {
                return Err(CaptureError::Ambiguous {
                    wanted: wanted.to_owned(),
                    candidates: list(&hits),
                });
            }
        }
    }
    Err(CaptureError::NotFound {
        wanted: wanted.to_owned(),
        candidates: list(&sources.iter().collect::<Vec<_>>()),
    })
}

/// Finds the source and the format to open it with; in the sound system of that name alone, if one
/// is given.
pub(super) fn plan(
    selection: &Selection,
    host_name: Option<&str>,
    latency: Latency,
) -> Result<PlannedStream, CaptureError> {
    let Found {
        devices: mut found,
        mut notes,
    } = devices(host_name.map_or(Hosts::First, Hosts::Only))?;
    let index = match selection {
        Selection::Default => {
            let is_default =
                |kind| move |(info, _): &(SourceInfo, _)| info.is_default && info.kind == kind;
            found
                .iter()
                .position(is_default(SourceKind::Input))
                // Without a microphone, the system's default input is the monitor of an output.
                .or_else(|| found.iter().position(is_default(SourceKind::SystemAudio)))
                .ok_or(CaptureError::NoDefault { kind: "input" })?
        }
        Selection::SystemAudio => found
            .iter()
            .position(|(info, _)| info.is_default && info.kind == SourceKind::SystemAudio)
            .ok_or(CaptureError::NoDefault {
                kind: "system audio",
            })?,
        Selection::Named(wanted) => match position(&found, wanted) {
            Err(missing @ CaptureError::NotFound { .. }) if host_name.is_none() => {
                // It may belong to another sound system than the default one.
                Found {
                    devices: found,
                    notes,
                } = devices(Hosts::All)?;
                match position(&found, wanted) {
                    Err(CaptureError::NotFound { .. }) => return Err(missing),
                    other => other?,
                }
            }
            other => other?,
        },
    };
    let (source, device) = found.swap_remove(index);
    drop(found);
    let supported = if device.supports_input() {
        device.default_input_config()
    } else {
        device.default_output_config()
    }
    .map_err(|error| backend(&source, &error))?;
    let rate = SampleRate::new(supported.sample_rate()).map_err(|error| CaptureError::Rate {
        source_name: source.to_string(),
        error,
    })?;
    let config = supported.config();
    #[cfg(not(target_os = "linux"))]
    let mut config = config;
    #[cfg(not(target_os = "linux"))]
    if source.host == PULSE {
        config.buffer_size = cpal::BufferSize::Fixed(PULSE_PERIOD);
    }
    Ok(PlannedStream {
        host: host_named(&source.host)?,
        source,
        device,
        config,
        format: supported.sample_format(),
        rate,
        latency,
        notes,
    })
}

fn position(found: &[(SourceInfo, cpal::Device)], wanted: &str) -> Result<usize, CaptureError> {
    let infos: Vec<SourceInfo> = found.iter().map(|(info, _)| info.clone()).collect();
    let chosen = choose(&infos, wanted)?;
    Ok(infos
        .iter()
        .position(|info| std::ptr::eq(info, chosen))
        .unwrap_or_default())
}

/// Not cpal's default host, which panics when there is no sound system at all.
fn host_named(name: &str) -> Result<cpal::Host, CaptureError> {
    let found = cpal::available_hosts()
        .into_iter()
        .find(|id| id.name() == name);
    let Some(id) = found else {
        return Err(CaptureError::NoHost {
            message: format!("{name} is not there"),
        });
    };
    cpal::host_from_id(id).map_err(|error| CaptureError::NoHost {
        message: format!("{name}: {error}"),
    })
}

/// Does this system record outputs themselves, instead of giving them a monitor?
pub(super) fn output_is_recorded_itself(host: cpal::HostId) -> bool {
    ["wasapi", "coreaudio"]
        .iter()
        .any(|name| host.name().eq_ignore_ascii_case(name))
}

/// WASAPI delivers nothing from an output on which nothing plays.
pub(super) fn silent_while_idle(source: &SourceInfo) -> bool {
    source.kind == SourceKind::SystemAudio && source.host.eq_ignore_ascii_case("wasapi")
}

pub(super) fn id_of(device: Option<cpal::Device>) -> Option<String> {
    Some(device?.id().ok()?.to_string())
}

/// Where to look for devices.
#[derive(Clone, Copy)]
enum Hosts<'a> {
    /// The first sound system that answers, in cpal's order.
    First,
    /// Every sound system.
    All,
    /// The one of this name.
    Only(&'a str),
}

/// ALSA lists what its plugins are called, whether or not there is anything to capture behind them.
fn alsa_captures(id: &str, error: Option<&cpal::Error>) -> bool {
    // They give zeros, or the default source once more.
    const CONVERTERS: [&str; 7] = [
        "null",
        "lavrate",
        "samplerate",
        "speexrate",
        "speex",
        "upmix",
        "vdownmix",
    ];
    let name = id.split_once(':').map_or(id, |(_, name)| name);
    let there = error.is_none_or(|error| {
        use cpal::ErrorKind as Kind;
        // Somebody else has it, now or always: that is said when it is to be opened.
        matches!(error.kind(), Kind::DeviceBusy | Kind::PermissionDenied)
    });
    there && !CONVERTERS.contains(&name)
}

struct Found {
    devices: Vec<(SourceInfo, cpal::Device)>,
    /// See [`Sources::notes`].
    notes: Vec<String>,
}

fn devices(hosts: Hosts) -> Result<Found, CaptureError> {
    let available = cpal::available_hosts();
    let mut notes = Vec::new();
    let has_pulse = available.iter().any(|id| id.name() == PULSE);
    if has_pulse {
        notes.extend(pulse_cookie().err());
    } else if cfg!(target_os = "linux")
        && let Ok(server) = std::env::var("PULSE_SERVER")
    {
        notes.push(format!(
            "PULSE_SERVER is '{server}', and no PulseAudio can be reached there \
             (only 'unix:' and the path of a socket can be used)"
        ));
    }
    let mut devices = Vec::new();
    let mut answered = None;
    let mut failed = Vec::new();
    for id in available {
        if matches!(hosts, Hosts::Only(name) if name != id.name()) {
            continue;
        }
        match cpal::host_from_id(id).and_then(|host| host_devices(&host)) {
            Ok(found) => {
                answered.get_or_insert(id.name());
                devices.extend(found);
                if !matches!(hosts, Hosts::All) {
                    break;
                }
            }
            Err(error) => failed.push(format!("{} does not answer: {error}", id.name())),
        }
    }
    if let Some(name) = answered {
        notes.extend(failed.into_iter().map(|why| format!("{why}; using {name}")));
        return Ok(Found { devices, notes });
    }
    notes.append(&mut failed);
    if let (true, Hosts::Only(name)) = (notes.is_empty(), hosts) {
        notes.push(format!("{name} is not there"));
    }
    let message = if notes.is_empty() {
        "none was found".into()
    } else {
        notes.join("; ")
    };
    Err(CaptureError::NoHost { message })
}

fn host_devices(host: &cpal::Host) -> Result<Vec<(SourceInfo, cpal::Device)>, cpal::Error> {
    let default_input = id_of(host.default_input_device());
    let default_output = id_of(host.default_output_device());
    let recorded_itself = output_is_recorded_itself(host.id());
    let mut found = Vec::new();
    for device in host.devices()? {
        // Without an id, it went away while the list was made.
        let Ok(id) = device.id() else { continue };
        let id = id.to_string();
        let is_input = device.supports_input();
        let monitor_of = id.strip_suffix(".monitor");
        let kind = match monitor_of {
            Some(_) if is_input => SourceKind::SystemAudio,
            None if is_input => SourceKind::Input,
            _ if recorded_itself && device.supports_output() => SourceKind::SystemAudio,
            _ => continue,
        };
        let is_default = default_input.as_deref() == Some(&id)
            || kind == SourceKind::SystemAudio
                && default_output.as_deref() == Some(monitor_of.unwrap_or(&id));
        let config = if is_input {
            device.default_input_config()
        } else {
            device.default_output_config()
        };
        if host.id().name() == ALSA && !alsa_captures(&id, config.as_ref().err()) {
            continue;
        }
        let info = SourceInfo {
            name: device.to_string(),
            kind,
            host: host.id().name().to_owned(),
            is_default,
            format: config.ok().map(|c| (c.channels(), c.sample_rate())),
            id,
        };
        found.push((info, device));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(id: &str, name: &str) -> SourceInfo {
        SourceInfo {
            id: id.into(),
            name: name.into(),
            kind: SourceKind::Input,
            host: PULSE.into(),
            is_default: false,
            format: None,
        }
    }

    fn some_sources() -> Vec<SourceInfo> {
        vec![
            source("pulseaudio:mic", "Built-in Microphone"),
            source("pulseaudio:mic2", "USB Microphone"),
            source("pulseaudio:speakers.monitor", "Monitor of Speakers"),
            source("pulseaudio:line", "mic"),
        ]
    }

    #[test]
    fn a_unique_part_of_a_name_is_enough() {
        let sources = some_sources();
        for (wanted, expected) in [
            ("pulseaudio:mic", "pulseaudio:mic"),
            ("USB", "pulseaudio:mic2"),
            ("usb micro", "pulseaudio:mic2"),
            ("monitor", "pulseaudio:speakers.monitor"),
            ("speakers.", "pulseaudio:speakers.monitor"),
            // A whole name wins over parts of others.
            ("mic", "pulseaudio:line"),
            ("MIC", "pulseaudio:line"),
        ] {
            assert_eq!(choose(&sources, wanted).unwrap().id, expected, "{wanted}");
        }
    }

    #[test]
    fn alsa_plugins_that_capture_nothing_are_left_out() {
        let error = |kind| cpal::Error::new(kind);
        let absent = error(cpal::ErrorKind::DeviceNotAvailable);
        let busy = error(cpal::ErrorKind::DeviceBusy);
        assert!(alsa_captures("alsa:hw:CARD=PCH,DEV=0", None));
        assert!(alsa_captures("alsa:hw:CARD=PCH,DEV=0", Some(&busy)));
        assert!(alsa_captures("alsa:default", None));
        assert!(!alsa_captures("alsa:default", Some(&absent)));
        assert!(!alsa_captures("alsa:pulse", Some(&absent)));
        assert!(!alsa_captures("alsa:null", None));
        assert!(!alsa_captures("alsa:lavrate", None));
    }

    #[test]
    fn an_ambiguous_name_lists_what_it_may_be() {
        let sources = some_sources();
        let error = choose(&sources, "microphone").unwrap_err().to_string();
        assert_eq!(
            error,
            "'microphone' may be any of these, say more of its name or give its id: \
             Built-in Microphone (pulseaudio:mic); USB Microphone (pulseaudio:mic2)"
        );
        let error = choose(&sources[..1], "tape").unwrap_err().to_string();
        assert_eq!(
            error,
            "no source is called 'tape'; there are: Built-in Microphone (pulseaudio:mic)"
        );
        let error = choose(&[], "tape").unwrap_err().to_string();
        assert_eq!(error, "no source is called 'tape'; there are none at all");
    }
}
