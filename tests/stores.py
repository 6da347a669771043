"""Code sets for tests of stores, and what a store must answer."""

import numpy as np

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.pack import pack_bits
from bitcodes.databases.store import Store, header_of
from bitcodes.hamming.index import HammingIndex


def make_set(seed: int, bits: int, count: int, kind: str, **columns: object) -> CodeSet:
    rng = np.random.default_rng(seed)
    bit_values = rng.random((count, bits)) < 0.5
    if kind == "clustered":
        bit_values = bit_values[rng.integers(0, min(3, count), count)] if count else bit_values
        bit_values ^= rng.random((count, bits)) < 0.05
    elif kind == "equal":
        bit_values[:] = bit_values[:1]
    labels = rng.integers(0, 3, count)
    names = ("cat", "dog", "é")
    values = {
        "numbers": labels,
        "multi-hot": np.eye(3, dtype=np.uint8)[labels] | (rng.random((count, 3)) < 0.3),
    }
    kept = values.get(str(columns.get("labels")))
    return CodeSet.from_arrays(
        pack_bits(bit_values),
        bits,
        columns.get("paths") or [f"ö/{seed}/{row}\udcff\n.jpg" for row in range(count)],
        kept,
        class_names=() if kept is None else names,
        fingerprint="one",
        stat=rng.integers(-1, 2**62, (count, 2)) if columns.get("stat") else None,
        parts=columns.get("parts"),
        root="photos",
    )


def check_like(store: Store, code_set: CodeSet, rows: np.ndarray, queries: np.ndarray) -> None:
    """The store answers as an index of the set does, whose rows have these numbers in the store."""
    index = HammingIndex(code_set, measure=store.measure)
    assert (store.bits, store.fingerprint, len(store)) == (index.bits, index.fingerprint, len(rows))
    numbers = np.append(rows, -1)
    for k in (1, 3, len(rows) + 2):
        distances, found = store.search(queries, k)
        expected = index.search(queries, k)
        np.testing.assert_array_equal(distances, expected[0], strict=True)
        np.testing.assert_array_equal(found, numbers[expected[1]], strict=True)
    for radius in (0, 2, store.bits // 4):
        for limit in (None, 1, 4):
            ours, theirs = (
                store.within(queries, radius, limit),
                index.within(queries, radius, limit),
            )
            for name in ("offsets", "distances", "more"):
                np.testing.assert_array_equal(
                    getattr(ours, name), getattr(theirs, name), strict=True
                )
            np.testing.assert_array_equal(ours.rows, numbers[theirs.rows], strict=True)


def check_holds(store: Store, code_set: CodeSet) -> None:
    """The store reads back as the set."""
    back = store.read()
    assert back.header == header_of(code_set)
    assert list(back.paths) == list(code_set.paths)
    for name in ("codes", "labels", "stat"):
        one, other = getattr(back, name), getattr(code_set, name)
        assert (one is None) == (other is None)
        if one is not None:
            np.testing.assert_array_equal(one, other, strict=True)


def queries_for(code_set: CodeSet, seed: int) -> np.ndarray:
    """Two codes of the set or next to one, and one from anywhere."""
    rng = np.random.default_rng(seed)
    bits = rng.random((3, code_set.bits)) < 0.5
    if code_set.count:
        codes = np.unpackbits(code_set.codes, axis=1, count=code_set.bits)
        bits[:2] = codes[rng.integers(0, code_set.count, 2)]
        bits[1, rng.integers(0, code_set.bits, 2)] ^= True
    return pack_bits(bits)
