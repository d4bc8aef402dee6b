"""The package beside the program: `python speed.py target/release/genrescope FILE...`.

Processor time of whole processes, in turns, best of five; the start of each is told by a run over the first file alone, and subtracted.
"""

import resource
import subprocess
import sys

ROUNDS = 5
program, *files = sys.argv[1:]
IN_PYTHON = "import sys, genrescope; print([genrescope.classify(path).genre for path in sys.argv[1:]])"


def seconds(*command: str) -> float:
    def used() -> float:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return children.ru_utime + children.ru_stime

    before = used()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return used() - before


ways = {
    "program": [program, "classify", "--jobs", "1", "--json"],
    "package": [sys.executable, "-c", IN_PYTHON],
    "python -m": [sys.executable, "-m", "genrescope", "classify", "--jobs", "1", "--json"],
}
all_files = dict.fromkeys(ways, 1e9)
start = dict.fromkeys(ways, 1e9)
for _ in range(ROUNDS):
    for name, command in ways.items():
        all_files[name] = min(all_files[name], seconds(*command, *files))
        start[name] = min(start[name], seconds(*command, files[0]))
work = {name: all_files[name] - start[name] for name in ways}
for name in ways:
    more = 100 * (work[name] / work["program"] - 1)
    print(f"{name:<10} {all_files[name]:7.2f} s for {len(files)} files, {start[name]:5.2f} s for the first; {more:+.1f} % for the rest")
