//! One table of the words that are shown, in each language: in the terminal, on the page and in the
//! plugin's editor. Messages about what went wrong are English everywhere, so that they can be
//! looked up.

pub mod sentences;

use std::env;

use crate::readout::{Reason, State};

/// A language that the table has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// English, and what all others fall back to.
    #[default]
    English,
    /// German.
    German,
    /// Spanish.
    Spanish,
}

impl Language {
    /// Every language.
    pub const ALL: [Self; 3] = [Self::English, Self::German, Self::Spanish];

    /// Its own name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::German => "Deutsch",
            Self::Spanish => "Español",
        }
    }

    /// The language of this code after ISO 639: `de`.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|l| l.code() == code)
    }

    /// Its code after ISO 639.
    pub const fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
            Self::Spanish => "es",
        }
    }

    /// Its words.
    pub const fn words(self) -> &'static Words {
        match self {
            Self::English => &ENGLISH,
            Self::German => &GERMAN,
            Self::Spanish => &SPANISH,
        }
    }

    /// The language of a locale: `de`, `de_AT.UTF-8`, `es-MX`.
    pub fn of(locale: &str) -> Self {
        let code = locale.split(['_', '-', '.', '@', ':']).next().unwrap_or("");
        Self::from_code(&code.to_ascii_lowercase()).unwrap_or_default()
    }

    /// The system's, as the environment tells it; English where it does not.
    pub fn of_system() -> Self {
        // In the order in which POSIX and GNU gettext ask them.
        ["LC_ALL", "LC_MESSAGES", "LANG"]
            .iter()
            .find_map(|name| env::var(name).ok().filter(|value| !value.is_empty()))
            .map_or(Self::English, |locale| Self::of(&locale))
    }
}

/// A table of words: what each is for, and what it is in each language.
macro_rules! words {
    ($($(#[$what:meta])* $name:ident: $english:literal, $german:literal, $spanish:literal;)*) => {
        /// What is shown, in one language. A name in braces stands for what is known only then.
        #[derive(Debug)]
        pub struct Words {
            $($(#[$what])* pub $name: &'static str,)*
        }

        static ENGLISH: Words = Words { $($name: $english,)* };
        static GERMAN: Words = Words { $($name: $german,)* };
        static SPANISH: Words = Words { $($name: $spanish,)* };

        impl Words {
            /// Every word with its name in the table.
            pub fn all(&self) -> Vec<(&'static str, &'static str)> {
                vec![$((stringify!($name), self.$name),)*]
            }
        }
    };
}

words! {
    /// What stands between the whole part of a number and the rest.
    decimal: ".", ",", ",";

    /// A page of choices.
    settings: "Settings", "Optionen", "Ajustes";
    /// A page of what was heard as a whole.
    song: "Song", "Song", "Canción";
    /// Closes a page.
    done: "Done", "Fertig", "Listo";
    /// Takes the keyboard.
    keys: "genrescope: keys", "genrescope: Tasten", "genrescope: teclas";
    /// What it does.
    keys_hint: "Click, and keys come here: Tab and arrows move, Space presses, Escape gives them back to the host.",
        "Ein Klick, und die Tasten gelten hier: Tab und Pfeile gehen weiter, Leertaste drückt, Escape gibt sie dem Host zurück.",
        "Con un clic, las teclas llegan aquí: Tab y flechas avanzan, Espacio pulsa, Escape las devuelve al host.";
    /// Which model listens.
    model_name: "{model} model", "Modell {model}", "modelo {model}";

    /// Forgets the average.
    reset: "Reset", "Zurücksetzen", "Reiniciar";
    /// What it does.
    reset_hint: "Forget the average and start over.", "Den Mittelwert vergessen und neu beginnen.", "Olvidar la media y empezar de nuevo.";
    /// Keeps the readout.
    hold: "Hold", "Halten", "Fijar";
    /// What it does.
    hold_hint: "Keep this readout until released.", "Diese Anzeige behalten, bis sie losgelassen wird.", "Conservar esta lectura hasta soltarla.";
    /// How long scores are averaged.
    averaging: "Averaging", "Mittelung", "Promedio";
    /// The same where there is little room.
    averaging_short: "Avg", "Ø", "Media";
    /// The same for a screen reader.
    averaging_name: "Averaging time in seconds", "Mittelungszeit in Sekunden", "Tiempo de promedio en segundos";
    /// What it does.
    averaging_hint: "How long scores are averaged. Short follows changes, long stays calm. Double click for the default.",
        "Wie lange Werte gemittelt werden. Kurz folgt Wechseln, lang bleibt ruhig. Doppelklick stellt den Ausgangswert ein.",
        "Cuánto se promedian los valores. Corto sigue los cambios, largo se mantiene estable. Doble clic para el valor inicial.";
    /// Without averaging.
    off_value: "off", "aus", "no";
    /// What listening costs.
    load: "load {load} %", "Last {load} %", "carga {load} %";
    /// Samples were lost.
    dropped: "{count} samples dropped", "{count} Samples verloren", "{count} muestras perdidas";
    /// The same where there is little room.
    dropped_short: "dropped", "Verlust", "pérdidas";

    /// The level of the sound.
    level: "Level", "Pegel", "Nivel";
    /// Its number in silence.
    level_silent: "silent", "still", "silencio";
    /// Behind a score of less than a whole frame.
    so_far: "so far", "bisher", "por ahora";

    /// Kind of answer: the model is being loaded.
    loading: "Loading", "Lädt", "Cargando";
    /// Nothing listens.
    trouble: "Trouble", "Störung", "Problema";
    /// The host has switched the plugin off.
    bypassed: "Bypassed", "Umgangen", "Omitido";
    /// No audio comes.
    waiting: "Waiting", "Wartet", "En espera";
    /// The readout is held.
    held: "Held", "Gehalten", "Fijado";
    /// What was said some time ago.
    the_past: "The past: {time} ago", "Vergangen: vor {time}", "Pasado: hace {time}";
    /// Headline while the model is loaded.
    one_moment: "One moment", "Moment", "Un momento";
    /// Headline where nothing listens.
    not_listening: "Not listening", "Hört nicht", "Sin escucha";
    /// Headline without audio.
    no_audio: "No audio", "Kein Ton", "Sin audio";

    /// [`State::Warming`].
    warming: "warming up", "wärmt auf", "preparando";
    /// [`State::Provisional`].
    provisional: "so far", "bisher", "por ahora";
    /// [`State::Live`].
    live: "live", "live", "en vivo";
    /// [`State::Unsure`].
    unsure: "unsure", "unsicher", "dudoso";
    /// [`State::NotMusic`].
    not_music: "not music", "keine Musik", "no es música";
    /// [`State::Silent`].
    silent: "silent", "still", "silencio";
    /// [`State::Lost`].
    lost: "lost", "Quelle weg", "sin fuente";

    /// [`Reason::TooLittleHeard`].
    too_little_heard: "too little was heard", "zu wenig gehört", "se oyó muy poco";
    /// [`Reason::FirstSeconds`].
    first_seconds: "a guess from the first seconds must be surer", "in den ersten Sekunden muss es sicherer sein", "en los primeros segundos debe ser más seguro";
    /// [`Reason::LowScore`].
    low_score: "no genre stands out", "kein Genre ragt heraus", "ningún género destaca";
    /// [`Reason::Overtaken`].
    overtaken: "another genre is taking over", "ein anderes Genre löst ab", "otro género toma el relevo";
    /// [`Reason::MaybeNotMusic`].
    maybe_not_music: "it may not be music", "vielleicht keine Musik", "quizá no es música";
    /// [`Reason::NotMusic`].
    sound_but_not_music: "sound, but not music", "Klang, aber keine Musik", "sonido, pero no música";
    /// [`Reason::Silence`].
    nothing_to_hear: "nothing to hear", "nichts zu hören", "nada que oír";
    /// [`Reason::SourceLost`].
    source_gone: "the source is gone", "die Quelle ist weg", "la fuente ya no está";

    /// Where there is no best label.
    the_best: "the best", "das beste", "el mejor";
    /// How likely it is music.
    why_music: "It is music with a probability of {music}.", "Musik ist es mit einer Wahrscheinlichkeit von {music}.", "Es música con una probabilidad de {music}.";
    /// Why nothing is named: [`Reason::TooLittleHeard`].
    why_too_little: "No genre yet: the first answer needs {seconds} s of sound.", "Noch kein Genre: die erste Antwort braucht {seconds} s Klang.", "Aún sin género: la primera respuesta necesita {seconds} s de sonido.";
    /// [`Reason::FirstSeconds`].
    why_first_seconds: "No genre yet: {best} leads, but a guess from the first seconds must be surer. The preset Fast asks for less.",
        "Noch kein Genre: {best} führt, aber in den ersten Sekunden muss es sicherer sein. Die Vorgabe Schnell verlangt weniger.",
        "Aún sin género: gana {best}, pero en los primeros segundos debe ser más seguro. El perfil Rápido pide menos.";
    /// [`Reason::LowScore`].
    why_low_score: "No genre: {best} leads, which is too little to name it. None of the labels fits, or several do.",
        "Kein Genre: {best} führt, zu wenig, um es zu nennen. Keines passt, oder mehrere.",
        "Sin género: gana {best}, muy poco para nombrarlo. No encaja ninguno, o encajan varios.";
    /// [`Reason::Overtaken`].
    why_overtaken: "No genre for a moment: {best} has overtaken the one that was shown, and has yet to stay ahead. The preset Fast shows it at once.",
        "Kurz kein Genre: {best} hat das gezeigte überholt und muss erst vorn bleiben. Die Vorgabe Schnell zeigt es sofort.",
        "Sin género por un momento: {best} ha superado al mostrado y debe seguir delante. El perfil Rápido lo muestra al instante.";
    /// [`Reason::MaybeNotMusic`].
    why_maybe_not_music: "No genre: it may not be music.", "Kein Genre: vielleicht ist es keine Musik.", "Sin género: quizá no es música.";
    /// [`Reason::NotMusic`].
    why_not_music: "No genre: speech, applause or noise.", "Kein Genre: Sprache, Applaus oder Lärm.", "Sin género: voz, aplausos o ruido.";
    /// [`Reason::Silence`] and [`Reason::SourceLost`].
    why_state: "No genre: {state}.", "Kein Genre: {state}.", "Sin género: {state}.";

    /// Below the headline: the model is being loaded.
    detail_loading: "The model is being loaded.", "Das Modell wird geladen.", "Se está cargando el modelo.";
    /// The plugin is switched off.
    detail_bypassed: "Audio passes, nothing is listened to.", "Ton geht durch, nichts wird gehört.", "El audio pasa, no se escucha nada.";
    /// No audio comes.
    detail_no_audio: "The host sends no audio. Start playback.", "Der Host schickt keinen Ton. Wiedergabe starten.", "El host no envía audio. Inicia la reproducción.";
    /// Before the first answer.
    detail_warming: "First answer in {seconds} s", "Erste Antwort in {seconds} s", "Primera respuesta en {seconds} s";
    /// Before a whole frame.
    detail_provisional: "A full listen takes {seconds} s more.", "Ganz gehört ist es in {seconds} s.", "Faltan {seconds} s para oírlo entero.";
    /// The family of a kind.
    detail_family: "of {family} {score}, ", "von {family} {score}, ", "de {family} {score}, ";
    /// The second best.
    detail_then: "then {genre} {score}", "dann {genre} {score}", "luego {genre} {score}";
    /// What was heard last alone.
    detail_newest: "newest alone: {genre} {score}", "das Neueste allein: {genre} {score}", "solo lo último: {genre} {score}";
    /// Another leads.
    detail_change: "{genre} {score}: about to change?", "{genre} {score}: gleich ein Wechsel?", "{genre} {score}: ¿va a cambiar?";
    /// Two candidates.
    detail_either: "{first} {score} or {second} {other}?", "{first} {score} oder {second} {other}?", "¿{first} {score} o {second} {other}?";
    /// No candidates.
    detail_none: "None of the genres fits.", "Keines der Genres passt.", "Ningún género encaja.";
    /// Sound without music.
    detail_not_music: "Sound, but no music: speech, applause or noise.", "Klang, aber keine Musik: Sprache, Applaus oder Lärm.", "Sonido, pero no música: voz, aplausos o ruido.";
    /// Silence.
    detail_silent: "Nothing to hear.", "Nichts zu hören.", "Nada que oír.";
    /// The source is gone.
    detail_lost: "The source is gone.", "Die Quelle ist weg.", "La fuente ya no está.";
    /// Where the song stood then.
    past_song: "Song at {song}.", "Song bei {song}.", "Canción en {song}.";
    /// What was said then.
    past_said: "It said: {state}.", "Da hieß es: {state}.", "Decía: {state}.";
    /// The way back.
    past_back: "Escape or a click on the strip: back to now.", "Escape oder ein Klick auf den Streifen: zurück zu jetzt.", "Escape o un clic en la tira: volver a ahora.";

    /// On a bar: average and newest.
    bar_hint: "{genre}: {score} on average, {newest} in the newest {seconds} s alone (the mark on the bar).",
        "{genre}: {score} im Mittel, {newest} in den neuesten {seconds} s allein (die Marke am Balken).",
        "{genre}: {score} de media, {newest} solo en los últimos {seconds} s (la marca en la barra).";

    /// The right end of the strip.
    now: "now", "jetzt", "ahora";
    /// The left end of the strip.
    minutes_ago: "{minutes} min ago", "vor {minutes} min", "hace {minutes} min";
    /// A song time with a bar.
    bar: "bar {bar}", "Takt {bar}", "compás {bar}";
    /// The strip is empty.
    strip_empty: "What was heard in the last {minutes} minutes appears here", "Hier steht, was in den letzten {minutes} Minuten zu hören war", "Aquí aparece lo oído en los últimos {minutes} minutos";
    /// The strip for a screen reader.
    strip_name: "What was heard in the last {minutes} minutes; arrows show a moment", "Was in den letzten {minutes} Minuten zu hören war; Pfeile zeigen einen Moment", "Lo oído en los últimos {minutes} minutos; las flechas muestran un momento";
    /// A reach of the strip.
    reach_hint: "The last {minutes} minutes.", "Die letzten {minutes} Minuten.", "Los últimos {minutes} minutos.";
    /// Under the pointer: when.
    strip_ago: "{what}, {time} ago", "{what}, vor {time}", "{what}, hace {time}";
    /// Under the pointer: where the song stood.
    strip_song: ", at {song}", ", bei {song}", ", en {song}";
    /// What a click does.
    strip_pin: "Click to see its scores.", "Ein Klick zeigt die Werte.", "Un clic muestra sus valores.";
    /// What a click does while a moment is pinned.
    strip_unpin: "Click for now.", "Ein Klick führt zu jetzt zurück.", "Un clic vuelve a ahora.";

    /// Headline of the song's page.
    heard: "{heard} heard, {named} of it with a genre", "{heard} gehört, {named} davon mit Genre", "{heard} oídos, {named} con género";
    /// The same before anything was heard.
    heard_nothing: "Nothing was heard yet. What is heard from now on is summed up here.", "Noch nichts gehört. Was ab jetzt zu hören ist, wird hier zusammengefasst.", "Aún no se ha oído nada. Aquí se resume lo que se oiga desde ahora.";
    /// A row of the song's page.
    no_genre: "No genre: {reason}", "Kein Genre: {reason}", "Sin género: {reason}";
    /// Rows without room.
    more: "{count} more: {time}", "{count} weitere: {time}", "{count} más: {time}";
    /// Writes the table into a file.
    save_csv: "Save CSV", "CSV sichern", "Guardar CSV";
    /// What it does.
    save_csv_hint: "Into your documents, under a name that is not taken.", "In die Dokumente, unter einem freien Namen.", "En tus documentos, con un nombre libre.";
    /// Puts the table on the clipboard.
    copy_csv: "Copy CSV", "CSV kopieren", "Copiar CSV";
    /// What it does.
    copy_csv_hint: "For a spreadsheet.", "Für eine Tabellenkalkulation.", "Para una hoja de cálculo.";
    /// Forgets the history.
    forget: "Forget", "Vergessen", "Olvidar";
    /// What it does.
    forget_hint: "Begin a new song: summary, strip and table start over.", "Ein neuer Song: Summe, Streifen und Tabelle beginnen neu.", "Empezar otra canción: resumen, tira y tabla vuelven a empezar.";
    /// What the table has.
    table: "One row for each readout: time, song time, bar, genre and every score.", "Eine Zeile je Anzeige: Zeit, Songzeit, Takt, Genre und jeder Wert.", "Una fila por lectura: tiempo, tiempo de canción, compás, género y cada valor.";
    /// The table was copied.
    copied: "{count} rows are on the clipboard.", "{count} Zeilen sind in der Zwischenablage.", "{count} filas en el portapapeles.";
    /// The table was saved.
    saved: "Saved as {path}", "Gesichert als {path}", "Guardado como {path}";

    /// Leads out of the compact view.
    larger: "Larger", "Größer", "Ampliar";
    /// What it does.
    larger_hint: "The whole editor: bars, history, settings.", "Alles: Balken, Verlauf, Optionen.", "Todo: barras, historial, ajustes.";

    /// A switch that is on.
    on: "On", "An", "Sí";
    /// A switch that is off.
    off: "Off", "Aus", "No";
    /// How restless the answer is.
    preset: "Preset", "Vorgabe", "Perfil";
    /// A preset.
    steady: "Steady", "Ruhig", "Estable";
    /// What it is for.
    steady_hint: "Few changes, each well founded: for lights that must not flicker.", "Wenige, gut begründete Wechsel: für Licht, das nicht flackern darf.", "Pocos cambios, bien fundados: para luces que no deben parpadear.";
    /// A preset.
    balanced: "Balanced", "Ausgewogen", "Equilibrado";
    /// What it is for.
    balanced_hint: "Neither restless nor slow.", "Weder unruhig noch langsam.", "Ni inquieto ni lento.";
    /// A preset.
    fast: "Fast", "Schnell", "Rápido";
    /// What it is for.
    fast_hint: "The best guess soon, and another one as soon as it leads.", "Bald die beste Vermutung, und eine andere, sobald sie führt.", "Pronto la mejor conjetura, y otra en cuanto gane.";
    /// MIDI to the host.
    midi_out: "MIDI out", "MIDI senden", "Salida MIDI";
    /// Its channel.
    channel: "Channel", "Kanal", "Canal";
    /// The note of the first genre.
    first_note: "First note", "Erste Note", "Primera nota";
    /// The controller of the first genre.
    first_cc: "First CC", "Erster CC", "Primer CC";
    /// Which numbers the genres have, before there is a model.
    midi_plain: "A controller per genre, and a note while a genre is shown.", "Ein Controller je Genre, und eine Note, solange es gezeigt wird.", "Un controlador por género, y una nota mientras se muestra.";
    /// Which numbers the genres have.
    midi_map: "Notes {notes}; controllers {ccs}.", "Noten {notes}; Controller {ccs}.", "Notas {notes}; controladores {ccs}.";
    /// From the first to the last.
    midi_range: "{from} to {to} for {first} to {last}", "{from} bis {to} für {first} bis {last}", "{from} a {to} para {first} a {last}";
    /// Some have none.
    midi_no_room: "(no room for {count} more)", "(kein Platz für {count} weitere)", "(sin sitio para {count} más)";
    /// OSC.
    osc_out: "OSC out", "OSC senden", "Salida OSC";
    /// Before the target.
    osc_to: "to", "an", "a";
    /// What is sent.
    osc_hint: "To lighting or video software: /genre/name, /genre/state, /genre/active/… and /genre/score/… for each label.",
        "An Licht- oder Videosoftware: /genre/name, /genre/state, /genre/active/… und /genre/score/… je Genre.",
        "A software de luces o vídeo: /genre/name, /genre/state, /genre/active/… y /genre/score/… por género.";
    /// Which network listens.
    model: "Model", "Modell", "Modelo";
    /// The ten genres.
    model_builtin: "Built-in", "Eingebaut", "Integrado";
    /// The one with many kinds.
    model_wide: "Wide", "Breit", "Amplio";
    /// How many labels it has.
    labels: "{count} labels", "{count} Genres", "{count} géneros";
    /// A file with a model.
    model_file: "Model file", "Modelldatei", "Archivo";
    /// Loads it.
    load_file: "Load", "Laden", "Cargar";
    /// The same for a screen reader.
    load_file_name: "Load the model file", "Die Modelldatei laden", "Cargar el archivo del modelo";
    /// How large the editor is.
    size: "Size", "Größe", "Tamaño";
    /// The smallest.
    compact: "Compact", "Kompakt", "Compacto";
    /// Which theme it has.
    colours: "Colours", "Farben", "Colores";
    /// A theme.
    dark: "Dark", "Dunkel", "Oscuro";
    /// A theme.
    light: "Light", "Hell", "Claro";
    /// The system's choice.
    system: "System", "System", "Sistema";
    /// Which language it has.
    language: "Language", "Sprache", "Idioma";
    /// What leaves the computer.
    promise: "what is heard never leaves this computer, except as the OSC you switch on", "was zu hören ist, verlässt diesen Rechner nie, außer als eingeschaltetes OSC", "lo que se oye nunca sale de este ordenador, salvo como OSC activado";
    /// The same where there is little room.
    promise_short: "nothing but OSC leaves this computer", "nur OSC verlässt diesen Rechner", "solo OSC sale de este ordenador";

    /// A readout in a line: seconds until a first answer may come.
    line_warming: "warming up: a first answer in {seconds} s", "wärmt auf: eine erste Antwort in {seconds} s", "preparando: primera respuesta en {seconds} s";
    /// The same when it is due.
    line_due: "warming up: a first answer any moment", "wärmt auf: gleich eine erste Antwort", "preparando: primera respuesta en breve";
    /// [`State::Provisional`], before the scores.
    line_so_far: "so far, after {heard} of {frame} s: ", "bisher, nach {heard} von {frame} s: ", "por ahora, tras {heard} de {frame} s: ";
    /// [`State::Unsure`] with two candidates.
    line_between: "unsure between {first} and {second}", "unsicher zwischen {first} und {second}", "dudoso entre {first} y {second}";

    /// In front of the state: the sound has ended.
    the_end: "the end - ", "das Ende - ", "el final - ";
    /// A tag: the readout is held.
    tag_held: "HELD", "GEHALTEN", "FIJADO";
    /// A tag: feeds keep a genre that is not named any more.
    tag_kept: "KEPT", "BLEIBT", "SIGUE";
    /// Before the meter.
    meter: "level", "Pegel", "nivel";
    /// What listening costs.
    core_load: "{load} % of a core", "{load} % eines Kerns", "{load} % de un núcleo";
    /// Beside a key: forget.
    key_reset: "reset", "neu", "reiniciar";
    /// Beside a key: hold.
    key_hold: "hold", "halten", "fijar";
    /// Beside a key: hold no longer.
    key_let_go: "let go", "loslassen", "soltar";
    /// Beside the keys of the average: none.
    key_each_frame: "each frame", "jedes Fenster", "cada ventana";
    /// Beside the keys of the average: how long.
    key_over: "over {seconds} s", "über {seconds} s", "en {seconds} s";
    /// Beside a key: how scores are averaged.
    key_mean: "mean", "Mittel", "media";
    /// The same.
    key_geometric: "geometric mean", "geometrisch", "geométrica";
    /// Beside a key: other sources.
    key_device: "device", "Gerät", "equipo";
    /// Beside a key: help.
    key_help: "help", "Hilfe", "ayuda";
    /// Beside a key: the end.
    key_quit: "quit", "Ende", "salir";
    /// Was done.
    forgotten: "forgotten what was heard so far", "vergessen, was bisher zu hören war", "olvidado lo oído hasta ahora";
    /// Is being done.
    changing_to: "changing to {source}", "wechselt zu {source}", "cambiando a {source}";

    /// Help, a key a line.
    help_reset: "forget what was heard so far", "vergessen, was bisher zu hören war", "olvidar lo oído hasta ahora";
    /// Help.
    help_hold: "hold the answer, or let go", "die Antwort halten, oder loslassen", "fijar la respuesta, o soltarla";
    /// Help.
    help_averaging: "average over less or more time (0: each frame)", "über kürzer oder länger mitteln (0: jedes Fenster)", "promediar menos o más tiempo (0: cada ventana)";
    /// Help.
    help_mean: "mean, or geometric mean: one clear no weighs more", "Mittel, oder geometrisch: ein klares Nein zählt mehr", "media, o geométrica: un no claro pesa más";
    /// Help.
    help_device: "listen to another source", "eine andere Quelle hören", "escuchar otra fuente";
    /// Help.
    help_quit: "quit", "beenden", "salir";
    /// Help: the picture.
    help_bars: "Bars: the average over time, as it stands.", "Balken: der Mittelwert über die Zeit.", "Barras: la media en el tiempo.";
    /// Help.
    help_strip: "Strip: the last minutes; half-tone is an answer so far.", "Streifen: die letzten Minuten; blass ist vorläufig.", "Tira: los últimos minutos; tenue es provisional.";
    /// Help.
    help_first: "The first answer comes after 3 s of music,", "Die erste Antwort kommt nach 3 s Musik,", "La primera respuesta llega tras 3 s de música,";
    /// Help.
    help_full: "the full one after half a minute.", "die ganze nach einer halben Minute.", "la completa tras medio minuto.";
    /// How to leave it.
    any_key: "any key: back", "jede Taste: zurück", "cualquier tecla: volver";
    /// The list of sources.
    pick_source: "enter: listen to, esc: back", "Enter: hören, Esc: zurück", "Intro: escuchar, Esc: volver";
    /// An empty list.
    no_sources: "no sources", "keine Quellen", "sin fuentes";
    /// A source.
    default_input: "the default input", "der übliche Eingang", "la entrada habitual";
    /// A source.
    system_sound: "what this computer plays", "was dieser Rechner spielt", "lo que suena en este equipo";

    /// The page, before the listener has answered.
    connecting: "connecting", "verbindet", "conectando";
    /// Headline: a token is needed.
    locked: "locked", "gesperrt", "bloqueado";
    /// The same in a sentence.
    token_needed: "the token is needed", "das Token fehlt", "falta la clave";
    /// Asks for it.
    token_asked: "This page needs its token.", "Diese Seite braucht ihr Token.", "Esta página necesita su clave.";
    /// It is not the right one.
    token_wrong: "That is not the token.", "Das ist nicht das Token.", "Esa no es la clave.";
    /// Hands it in.
    token_open: "Open", "Öffnen", "Abrir";
    /// Headline: nobody answers.
    no_listener: "no listener", "kein Hörer", "sin oyente";
    /// The same in a sentence.
    listener_gone: "the listener does not answer; trying again", "der Hörer antwortet nicht; es wird weiter versucht", "el oyente no responde; se vuelve a intentar";
    /// Headline before the first answer.
    listening: "listening", "hört zu", "escuchando";
    /// Hold no longer.
    release: "Release", "Loslassen", "Soltar";
    /// Which key does the same.
    key: "Key {key}", "Taste {key}", "Tecla {key}";
    /// The bars for a screen reader.
    scores: "Scores", "Werte", "Valores";
    /// The strip for a screen reader.
    last_minutes: "The last minutes", "Die letzten Minuten", "Los últimos minutos";
}

impl Words {
    /// A state in a word or two.
    pub const fn state(&self, state: State) -> &'static str {
        match state {
            State::Warming => self.warming,
            State::Provisional => self.provisional,
            State::Live => self.live,
            State::Unsure => self.unsure,
            State::NotMusic => self.not_music,
            State::Silent => self.silent,
            State::Lost => self.lost,
        }
    }

    /// Why no genre is named: a clause without a full stop.
    pub const fn reason(&self, reason: Reason) -> &'static str {
        match reason {
            Reason::TooLittleHeard => self.too_little_heard,
            Reason::FirstSeconds => self.first_seconds,
            Reason::LowScore => self.low_score,
            Reason::Overtaken => self.overtaken,
            Reason::MaybeNotMusic => self.maybe_not_music,
            Reason::NotMusic => self.sound_but_not_music,
            Reason::Silence => self.nothing_to_hear,
            Reason::SourceLost => self.source_gone,
        }
    }

    /// A number with so many places behind the point.
    pub fn number(&self, value: f32, places: usize) -> String {
        format!("{value:.places$}").replace('.', self.decimal)
    }
}

impl State {
    /// The English name for people, where there is room for a word or two; [`Words::state`] has
    /// other languages.
    pub const fn words(self) -> &'static str {
        ENGLISH.state(self)
    }
}

impl Reason {
    /// For people, in English: a clause without a full stop.
    pub const fn words(self) -> &'static str {
        ENGLISH.reason(self)
    }
}

/// A sentence of the table with its gaps filled.
pub fn fill(sentence: &str, gaps: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(sentence.len() + 16);
    let mut rest = sentence;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        let gap = gaps.iter().find(|(gap, _)| *gap == name);
        debug_assert!(gap.is_some(), "nothing for {name} of {sentence:?}");
        filled.push_str(gap.map_or("", |(_, value)| value));
        rest = after;
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names of the gaps, in alphabetical order.
    fn gaps(sentence: &str) -> Vec<&str> {
        let mut gaps: Vec<&str> = sentence
            .split('{')
            .skip(1)
            .filter_map(|part| Some(part.split_once('}')?.0))
            .collect();
        gaps.sort_unstable();
        gaps
    }

    #[test]
    fn every_word_is_there_in_every_language() {
        let english = ENGLISH.all();
        for language in Language::ALL {
            for ((name, word), (_, original)) in language.words().all().into_iter().zip(&english) {
                assert!(!word.trim().is_empty(), "{name} in {}", language.name());
                assert_eq!(gaps(word), gaps(original), "{name} in {}", language.name());
                let ends = |word: &str| word.len() > 1 && word.ends_with('.');
                assert_eq!(ends(word), ends(original), "{name} in {}", language.name());
            }
        }
    }

    #[test]
    fn locales_are_read() {
        assert_eq!(Language::of("de_AT.UTF-8"), Language::German);
        assert_eq!(Language::of("es-MX"), Language::Spanish);
        assert_eq!(Language::of("DE"), Language::German);
        for other in ["C", "C.UTF-8", "POSIX", "fr_FR", "deu", ""] {
            assert_eq!(Language::of(other), Language::English, "{other}");
        }
    }

    #[test]
    fn gaps_are_filled_once() {
        assert_eq!(
            fill("{a} and {b}", &[("a", "{b}"), ("b", "1")]),
            "{b} and 1"
        );
        assert_eq!(GERMAN.number(1.25, 1), "1,2");
    }
}
