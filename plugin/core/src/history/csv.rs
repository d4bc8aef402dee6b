//! The history as a table for spreadsheets and scripts.

use super::History;

/// The columns before those of the labels.
const COLUMNS: [&str; 8] = [
    "from_s",
    "to_s",
    "song_s",
    "bar",
    "state",
    "reason",
    "genre",
    "confidence",
];

/// A header, and a row for each span: when (in seconds of what was heard, of the song and in bars,
/// the last two at the row's beginning, empty where the host's song stood), what was shown or why
/// nothing was, and the score of each label. Numbers have a point, whatever the system's language.
pub fn table(history: &History, labels: &[String]) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let header = COLUMNS.iter().copied();
    // Writing into memory does not fail.
    let _ = writer.write_record(header.chain(labels.iter().map(String::as_str)));
    for (span, scores) in history.with_scores() {
        let song = span.song_at(span.start);
        let bar = song.and_then(|song| song.bars);
        let genre = span.genre.and_then(|genre| labels.get(genre));
        let mut row = vec![
            format!("{:.2}", span.start),
            format!("{:.2}", span.end),
            song.map_or_else(String::new, |song| format!("{:.2}", song.seconds)),
            bar.map_or_else(String::new, |(bar, _)| format!("{bar:.2}")),
            span.state.as_str().to_owned(),
            span.reason
                .map_or("", genrescope::decision::Reason::as_str)
                .to_owned(),
            genre.cloned().unwrap_or_default(),
            format!("{:.4}", span.confidence),
        ];
        row.extend(scores.map(|score| format!("{score:.4}")));
        // Labels of another model than the scores'.
        row.resize(COLUMNS.len() + labels.len(), String::new());
        let _ = writer.write_record(row);
    }
    let bytes = writer.into_inner().unwrap_or_default();
    String::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{super::song, *};

    #[test]
    fn a_row_says_when_and_what() {
        let labels = ["blues, old", "metal", "rock"].map(str::to_owned);
        let expected = "\
from_s,to_s,song_s,bar,state,reason,genre,confidence,\"blues, old\",metal,rock
0.00,4.00,,,warming,too_little_heard,,0.0000,0.3333,0.3333,0.3333
4.00,14.00,60.00,31.00,live,,metal,0.7500,0.1250,0.7500,0.1250
14.00,20.00,70.00,36.00,provisional,,rock,0.5000,0.2500,0.2500,0.5000
20.00,23.00,76.00,39.00,silent,silence,,0.0000,0.0000,0.0000,0.0000
23.00,25.00,79.00,40.50,live,,metal,0.7500,0.1250,0.7500,0.1250
";
        assert_eq!(table(&song(), &labels), expected);
        assert_eq!(table(&History::default(), &[]).lines().count(), 1);
    }
}
