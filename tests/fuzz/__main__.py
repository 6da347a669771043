"""Feed a reader with changed files, for as long as you like.

python -m tests.fuzz --help
python -m tests.fuzz zip --minutes 10
python -m tests.fuzz zip --first 1234 --count 1     # a seed that failed, again
"""

import argparse
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]


def _run() -> int:
    from fuzz.running import main
    from fuzz.targets import TARGETS, TORCH_TARGETS

    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz one reader.")
    parser.add_argument("target", choices=[*TARGETS, *TORCH_TARGETS])
    parser.add_argument("--minutes", type=float, default=1.0, help="how long [default: 1]")
    parser.add_argument("--first", type=int, default=0, help="the first seed [default: 0]")
    parser.add_argument("--count", type=int, help="how many seeds, in place of --minutes")
    given = parser.parse_args()
    return main(given.target, given.minutes, given.first, given.count)


if __name__ == "__main__":
    sys.exit(_run())
