"""Sound that other libraries have read: `python arrays.py song.flac`.

soundfile gives (frames, channels), as genrescope takes it. librosa gives (channels, frames):

    sound, rate = librosa.load(path, sr=None, mono=False)
    song = genrescope.classify(sound.T, rate)
"""

import sys

import genrescope
import soundfile

for path in sys.argv[1:]:
    sound, rate = soundfile.read(path)
    song = genrescope.classify(sound, rate, name=path)
    print(f"{path}: {song.genre or song.state}, {100 * song.confidence:.0f} %")
    for frame in song.frames:
        best = max(frame.scores, key=lambda label: frame.scores[label])
        print(f"  {frame.start:6.1f} s  {best:<10} {100 * frame.scores[best]:3.0f} %")
