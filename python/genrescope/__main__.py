"""`python -m genrescope`: files and folders on the command line, and results of many machines as one.

For everything else there is the program `genrescope`.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, Optional, TextIO

from . import __version__
from ._answers import Failure, Song
from ._model import Model, find_audio_files
from .errors import GenrescopeError


def complain(message: object) -> None:
    print(f"genrescope: {message}", file=sys.stderr)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m genrescope", description="Says which genre it hears.")
    top.add_argument("--version", action="version", version=f"genrescope {__version__}")
    commands = top.add_subparsers(dest="command", required=True)
    one = commands.add_parser(
        "classify", help="say the genre of audio files and folders", description="As 'genrescope classify'."
    )
    one.add_argument("paths", nargs="+", metavar="PATH", help="audio files, and folders to look through")
    one.add_argument("--model", metavar="NAME|FILE", help="'wide', or a model file")
    one.add_argument("--json", action="store_true", help="one JSON object a line")
    one.add_argument("--timeline", action="store_true", help="JSON says what was heard when")
    one.add_argument("--show-frames", action="store_true", help="JSON has the scores of every frame")
    one.add_argument("--frames", type=int, metavar="N", help="hear only so many frames of each song")
    one.add_argument("--average", default="mean", metavar="HOW", help="mean, geometric, vote or knn")
    one.add_argument("--skip", type=float, default=20.0, metavar="SECONDS", help="left out at both ends")
    one.add_argument("--hop", type=float, default=29.12, metavar="SECONDS", help="from frame to frame")
    one.add_argument("--unsure-below", type=float, metavar="SCORE", help="default: the model's")
    one.add_argument("--jobs", "-j", type=int, metavar="N", help="files at a time")
    one.add_argument("--shard", metavar="NUMBER/OF", help="only a part of the files: 3/8 is the third of eight")
    one.add_argument("--output", "-o", metavar="FILE", help="write JSON lines to FILE, which must be new")
    many = commands.add_parser(
        "merge", help="make one Parquet file of the results of many machines", description="Needs pyarrow."
    )
    many.add_argument("results", nargs="+", metavar="RESULT", help="JSON lines of 'classify', or Parquet")
    many.add_argument("--output", "-o", required=True, metavar="FILE", help="the Parquet file, which must be new")
    many.add_argument(
        "--expect", action="append", default=[], metavar="PATH", help="files or folders that must all be in it"
    )
    return top


def classify(args: argparse.Namespace) -> int:
    model = Model(args.model)
    settings: dict[str, Any] = {
        name: getattr(args, name)
        for name in ("average", "skip", "hop", "unsure_below", "timeline", "show_frames", "frames")
    }
    files, problems = _find(args.paths, args.shard)
    failed = 0
    with ExitStack() as stack:
        out: TextIO = sys.stdout
        if args.output:
            out = stack.enter_context(open(args.output, "x", encoding="utf-8"))
        answers = model.classify_each(files, jobs=args.jobs, **settings)
        for answer in answers:
            if isinstance(answer, Failure):
                failed += 1
                complain(answer.error)
            if args.json or args.output:
                print(answer.to_json(), file=out, flush=True)
            elif isinstance(answer, Song):
                said = answer.genre or answer.state.replace("_", " ")
                print(f"{said:<10} {100 * answer.confidence:3.0f} %  {answer.path}", file=out, flush=True)
    return 1 if failed or problems else 0


def _find(paths: Sequence[str], shard: Optional[str] = None) -> tuple[list[str], int]:
    with warnings.catch_warnings(record=True) as problems:
        warnings.simplefilter("always")
        files = find_audio_files(*paths, shard=shard)
    for problem in problems:
        complain(problem.message)
    return files, len(problems)


def merge(args: argparse.Namespace) -> int:
    from . import arrow

    expected = _find(args.expect)[0] if args.expect else None
    merged = arrow.merge(args.results, args.output, expected=expected)
    for result in merged.torn:
        complain(f"the last line of '{result}' was cut off; what it was about is missing")
    for path in merged.missing:
        complain(f"'{path}' has no row")
    complain(
        f"{merged.answered} answers, {len(merged.failed)} files that could not be heard, {merged.repeated} rows "
        f"left out that were there twice, {len(merged.missing)} files missing"
    )
    return 1 if merged.missing or merged.torn else 0


def main(arguments: Optional[Sequence[str]] = None) -> int:
    args = parser().parse_args(arguments)
    try:
        return classify(args) if args.command == "classify" else merge(args)
    except GenrescopeError as error:
        complain(error)
    except (FileExistsError, ImportError) as error:
        complain(error)
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        return 130
    return 2


if __name__ == "__main__":
    sys.exit(main())
