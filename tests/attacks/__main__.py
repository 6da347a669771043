"""Write all hostile files into a folder, or read each with every reader.

python -m tests.attacks FOLDER          # to try them on other programs
python -m tests.attacks FOLDER --read   # takes some minutes
"""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))


def main(folder: str, read: str = "") -> int:
    """Write the files; with "--read", the number of findings."""
    from attacks.corpus import cases_of, reading, write_corpus
    from attacks.watch import findings

    Path(folder).mkdir(parents=True)
    files = write_corpus(Path(folder))
    print(f"{len(files):,} files in {folder}")
    if read != "--read":
        return 0
    count = 0
    cases = cases_of(files, every=True)
    with tempfile.TemporaryDirectory() as room:
        for finding in findings(reading, (room,), cases):
            if finding is not None:
                count += 1
                print(finding.case, finding.problem, sep="\n", flush=True)
    print(f"{len(cases):,} readings, {count} findings")
    return min(count, 1)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
