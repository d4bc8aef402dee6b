"""What mutagen and TagLib read of the files named, as a JSON object a line: for the tests of `genrescope tag`."""

import json
import sys

import mutagen

try:
    import taglib
except ImportError:
    taglib = None

OURS = ("GENRE", "COMMENT", "TCON", "COMM", "IGNR", "ICMT", "GENRESCOPE", "\xa9GEN", "\xa9CMT", "GNRE")


def ours(key):
    key = key.upper().removeprefix("TXXX:").removeprefix("----:COM.APPLE.ITUNES:")
    return key.startswith(OURS)


def bare(value):
    """The value without what only tells its place."""
    return repr(value) if not isinstance(value, list) else [bare(one) for one in value]


def genre_of(tags, key):
    value = tags.get(key)
    if value is None:
        return []
    return list(getattr(value, "genres", None) or (value if isinstance(value, list) else [str(value)]))


for path in sys.argv[1:]:
    file = mutagen.File(path)
    tags = file.tags if file.tags is not None else {}
    genres = []
    for key in ("TCON", "genre", "\xa9gen", "Genre"):
        try:
            # Vorbis comments do not tell "genre" from "Genre".
            genres = genres or genre_of(tags, key)
        except (KeyError, ValueError):
            pass
    rest = {}
    # Vorbis comments list a key once for each of its values.
    for key in sorted(set(tags.keys())):
        if not ours(key):
            rest[key] = bare(tags[key])
    own = {}
    for key in tags.keys():
        name = key.upper().removeprefix("TXXX:").removeprefix("----:COM.APPLE.ITUNES:")
        if name.startswith("GENRESCOPE"):
            value = tags[key]
            value = getattr(value, "text", value)
            value = value[0] if isinstance(value, list) else value
            own[name] = value.decode() if isinstance(value, bytes) else str(value)
    pictures = [picture.data.hex() for picture in getattr(file, "pictures", [])]
    line = {
        "genres": genres,
        "own": own,
        "rest": rest,
        "pictures": pictures,
        "version": list(getattr(tags, "version", ()) or ()),
        "seconds": round(file.info.length, 2),
    }
    if taglib is not None:
        try:
            other = taglib.File(path)
        except OSError:
            # It does not know every format.
            pass
        else:
            line["taglib"] = other.tags.get("GENRE", [])
            other.close()
    print(json.dumps(line))
