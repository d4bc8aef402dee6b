"""Songs that sound alike: `python similar.py SONG FOLDER`."""

import sys

import genrescope
import numpy as np

song, folder = sys.argv[1:]
files = genrescope.find_audio_files(folder)
wanted = genrescope.embed(song).mean(axis=0)
near = []
for path, other in zip(files, genrescope.classify_each(files, embeddings=True)):
    if isinstance(other, genrescope.Song) and other.frames:
        vector = other.embeddings.mean(axis=0)
        cosine = float(vector @ wanted / np.linalg.norm(vector) / np.linalg.norm(wanted))
        near.append((cosine, path, other.genre or other.state))
for cosine, path, genre in sorted(near, reverse=True)[:10]:
    print(f"{cosine:.3f}  {genre:<10}  {path}")
