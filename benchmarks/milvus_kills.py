"""Kill `bitcodes push` into Milvus: the old set or the new one stays, and the next push cleans up.

    python benchmarks/milvus_kills.py milvus://host:19530/kills --kills 20 --replaces 20

The client gets SIGKILL at moments that are spread over how long a push takes. After each, what the
collection holds is compared with both sets. After each five, a set is pushed again, and then no
collection may be left but the one that counts. Then a reader searches and reads while sets are
replaced.
"""

import argparse
import random
import subprocess
import sys
import threading
import time
from collections import Counter

import numpy as np

from bitcodes.codes.codeset import CodeSet
from bitcodes.databases.milvus.store import MilvusStore
from bitcodes.tasks.push import push

COUNT, BITS = 5000, 64

CHILD = """
import sys
sys.path.insert(0, sys.argv[1])
from milvus_kills import change, pair
from bitcodes.databases.milvus.store import MilvusStore
MilvusStore.grace = 1
new, store = pair()[int(sys.argv[4])], MilvusStore(sys.argv[2])
store._client
print("ready", flush=True)
change(store, new, bool(int(sys.argv[3])))
print("done", flush=True)
sys.stdin.read()
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--kills", type=int, default=20, help="of each command")
    parser.add_argument("--replaces", type=int, default=20)
    options = parser.parse_args()
    MilvusStore.grace = 1
    print("| command | kills | as before | as pushed | mixed | left by the kills | after a push |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for update in (False, True) if options.kills else ():
        campaign(options.url, update, options.kills)
    print("\n| replaces | reads | old set | new set | mixed | errors |")
    print("| --- | --- | --- | --- | --- | --- |")
    read_meanwhile(options.url, options.replaces)


def pair() -> list[CodeSet]:
    """Two sets, which differ in a hundred codes."""
    sets = []
    for number in range(2):
        codes = np.random.default_rng(0).integers(0, 256, (COUNT, BITS // 8), np.uint8)
        codes[:: COUNT // 100] ^= 255 * number
        paths = [f"{row:06}.jpg" for row in range(COUNT)]
        sets.append(CodeSet.from_arrays(codes, BITS, paths, fingerprint="kills"))
    return sets


def held(store: MilvusStore) -> str:
    """Which of the two sets a store holds."""
    back = store.read()
    same = [np.array_equal(back.codes, one.codes) and len(store) == COUNT for one in pair()]
    return "old" if same[0] else "new" if same[1] else "mixed"


def collections(store: MilvusStore) -> int:
    """How many collections of the set there are beside the one that counts."""
    names = store._versions._collections()
    return len([name for name in names if not name.endswith("_complete")]) - 1


def change(store: MilvusStore, code_set: CodeSet, update: bool) -> None:
    """What push does."""
    with store:
        if update:
            store.update(code_set)
        else:
            store.replace(code_set)


def campaign(url: str, update: bool, kills: int) -> None:
    sets = pair()
    push(sets[0], url)
    started = time.perf_counter()
    change(MilvusStore(url), sets[1], update)
    length = time.perf_counter() - started
    holds, outcomes = "new", Counter[str]()
    left = after = 0
    for number in range(kills):
        target = int(holds == "old")
        words = [sys.executable, "-W", "ignore", "-c", CHILD, sys.path[0], url]
        words += [str(int(update)), str(target)]
        with subprocess.Popen(words, stdin=-1, stdout=-1, stderr=subprocess.DEVNULL) as child:
            assert child.stdout is not None and child.stdout.readline()
            time.sleep(length * (number + random.random()) / kills)
            child.kill()
        with MilvusStore(url) as store:
            before, holds = holds, held(store)
            outcomes[holds if holds == "mixed" else "same" if holds == before else "other"] += 1
        if number % 5 == 4:
            with MilvusStore(url) as store:
                left += collections(store)
            holds = ("old", "new")[target]
            push(sets[target ^ 1], url)  # so that the next one writes
            push(sets[target], url)
            with MilvusStore(url) as store:
                assert held(store) == holds
                after += collections(store)
    counts = (str(outcomes[name]) for name in ("same", "other", "mixed"))
    name = "push --update" if update else "push"
    print(f"| {name} | {kills} | {' | '.join(counts)} | {left} | {after} |", flush=True)


def read_meanwhile(url: str, replaces: int) -> None:
    sets = pair()
    push(sets[0], url)
    seen: Counter[str] = Counter()
    errors: list[Exception] = []
    done = threading.Event()

    def read() -> None:
        with MilvusStore(url) as store:
            while not done.is_set():
                try:
                    with store.reading():
                        name = held(store)
                        distances, rows = store.search(sets[name == "new"].codes[:1], 1)
                        right = distances[0, 0] == 0 and store.paths_of(rows[0]) == ["000000.jpg"]
                        seen[name if right else "mixed"] += 1
                except Exception as error:
                    errors.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    MilvusStore.grace = 5
    for number in range(replaces):
        push(sets[(number + 1) % 2], url)
    done.set()
    reader.join()
    counts = (str(seen[name]) for name in ("old", "new", "mixed"))
    print(f"| {replaces} | {seen.total()} | {' | '.join(counts)} | {len(errors)} |")
    for error in errors[:3]:
        print(error)


if __name__ == "__main__":
    main()
