"""All attacks together, as files in a folder."""

import re
import tempfile
from pathlib import Path

from attacks import archives, arrays, documents, lists, models, pickles, pictures
from attacks.attack import Attack, Attacks, write
from attacks.readers import READERS, Room, load_torch_readers
from attacks.watch import Check

from bitcodes.errors import BitcodesError
from bitcodes.wording import CONTROLS

Case = tuple[str, str, str | None, bool]
"""A file, the role in which it is read, what is to be said, and whether it was made for it."""


def all_attacks() -> Attacks:
    """Every attack, by a name of its own."""
    made: Attacks = {}
    for module in (archives, arrays, documents, lists, models, pickles, pictures):
        attacks = module.attacks()
        assert not made.keys() & attacks.keys()
        made |= attacks
    return made


def write_corpus(folder: Path, attacks: Attacks | None = None) -> list[tuple[Path, Attack]]:
    """Write attacks into a folder, by default every one of `all_attacks`."""
    files = []
    attacks = all_attacks() if attacks is None else attacks
    for number, (name, attack) in enumerate(attacks.items()):
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60]
        file = folder / f"{number:04}-{slug}"
        write(attack, file)
        files.append((file, attack))
    return files


def cases_of(files: list[tuple[Path, Attack]], every: bool = False) -> list[Case]:
    """Each file in its own role, and in one other by turns; or in all."""
    cases: list[Case] = []
    roles = list(READERS)
    for number, (file, attack) in enumerate(files):
        other = (number * 7 + 3) % len(roles)
        for place, role in enumerate(roles):
            is_own = role == attack.role
            if every or is_own or place == other:
                cases.append((str(file), role, attack.said if is_own else "", is_own))
    return cases


def reading(folder: str, with_torch: bool = False) -> Check:
    """The check of a case, in a folder that it fills; see Room."""
    if with_torch:
        load_torch_readers()
    Path(folder).mkdir(exist_ok=True)
    room = Room(Path(tempfile.mkdtemp(dir=folder)))

    def check(case: Case) -> None:
        file, role, expected, _ = case
        problem = None
        try:
            said = room.read(role, Path(file))
        except BitcodesError as error:
            problem, said = error, [str(error)]
        text = "\n".join(said)
        match = CONTROLS.search(text.replace("\n", ""))
        assert match is None, f"{match} in {text!r}"
        if expected is None:
            assert not said, text
        else:
            assert re.search(expected, text), f"expected {expected!r}, found {text[:500]!r}"
        if problem is not None:
            raise problem

    return check
