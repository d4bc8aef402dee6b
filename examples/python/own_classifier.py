"""Your own classes on genrescope's ears, with scikit-learn: `python own_classifier.py FOLDER`, which has a folder of songs for
each class.

`genrescope teach` does this, too, and makes a model file that listens live. This is for everything else that scikit-learn has.
"""

import sys
from pathlib import Path

import genrescope
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

[root] = sys.argv[1:]
files = genrescope.find_audio_files(root)
songs, classes = [], []
for path, song in zip(files, genrescope.classify_each(files, embeddings=True)):
    if isinstance(song, genrescope.Failure):
        print(song.error, file=sys.stderr)
    elif song.frames:
        songs.append(song.embeddings.mean(axis=0))
        classes.append(Path(path).relative_to(root).parts[0])

folds = StratifiedKFold(min(5, min(classes.count(name) for name in set(classes))), shuffle=True, random_state=1)
classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.05, max_iter=1000))
guesses = cross_val_predict(classifier, np.array(songs), classes, cv=folds)
for name in sorted(set(classes)):
    of_class = np.array(classes) == name
    print(f"{name:<16} {100 * np.mean(guesses[of_class] == name):3.0f} % of {of_class.sum()} songs")
