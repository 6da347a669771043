"""Packing against plain Python, for every length of code."""

import numpy as np
import pytest

from bitcodes.codes.pack import (
    check_codes,
    code_bytes,
    code_lanes,
    from_lanes,
    pack_bits,
    pack_outputs,
    split_codes,
    to_lanes,
    unpack_bits,
)
from bitcodes.errors import CodeSetError


def random_bits(bits: int, rows: int = 5) -> np.ndarray:
    return np.random.default_rng(bits).integers(0, 2, (rows, bits), dtype=np.uint8)


def slow_pack(bits: np.ndarray) -> list[list[int]]:
    """Bit j of a row is `code[j // 8] >> (7 - j % 8) & 1`."""
    rows = []
    for row in bits.tolist():
        code = [0] * -(-len(row) // 8)
        for j, bit in enumerate(row):
            code[j // 8] |= bit << (7 - j % 8)
        rows.append(code)
    return rows


@pytest.mark.parametrize("bits", range(1, 301))
def test_packs_and_unpacks(bits: int) -> None:
    drawn = random_bits(bits)
    codes = pack_bits(drawn)
    assert codes.dtype == np.uint8
    assert codes.shape == (5, code_bytes(bits))
    assert codes.tolist() == slow_pack(drawn)
    assert np.array_equal(codes, pack_bits(drawn.astype(bool)))
    assert np.array_equal(unpack_bits(codes, bits), drawn)


@pytest.mark.parametrize("bits", [2, 8, 9, 16, 47, 112])
def test_codes_are_split_at_every_bit(bits: int) -> None:
    drawn = random_bits(bits)
    for first in range(1, bits):
        head, tail = split_codes(pack_bits(drawn), bits, first)
        assert np.array_equal(head, pack_bits(drawn[:, :first]))
        assert np.array_equal(tail, pack_bits(drawn[:, first:]))
    for first in (0, bits):
        with pytest.raises(CodeSetError, match=f"from 1 to {bits - 1} to split codes"):
            split_codes(pack_bits(drawn), bits, first)


def test_lanes_of_every_length_to_1024() -> None:
    for bits in range(1, 1025):
        codes = pack_bits(random_bits(bits))
        lanes = to_lanes(codes, bits)
        assert lanes.dtype == np.uint64
        assert lanes.shape == (-(-bits // 64), 5) == (code_lanes(bits), 5)
        assert lanes.flags.c_contiguous
        for row in range(5):
            stored = b"".join(lane[row].tobytes() for lane in lanes)
            assert stored == codes[row].tobytes().ljust(8 * len(lanes), b"\0")
        assert np.array_equal(from_lanes(lanes, bits), codes)


@pytest.mark.parametrize("bits", [1, 7, 8, 48, 63, 64, 65, 130])
def test_lanes_keep_distances(bits: int) -> None:
    drawn = random_bits(bits, rows=20)
    lanes = to_lanes(pack_bits(drawn), bits)
    found = np.bitwise_count(lanes[:, :, None] ^ lanes[:, None, :]).sum(axis=0)
    assert np.array_equal(found, (drawn[:, None] != drawn[None]).sum(axis=2))


def test_worked_by_hand() -> None:
    # 1010 0000 1 -> the first bit is the highest: 0xA0 0x80
    assert pack_bits([[1, 0, 1, 0, 0, 0, 0, 0, 1]]).tolist() == [[0xA0, 0x80]]
    assert unpack_bits(np.array([[0xA0, 0x80]], np.uint8), 9).tolist() == [
        [1, 0, 1, 0, 0, 0, 0, 0, 1]
    ]


def test_outputs_are_ones_above_zero_only() -> None:
    tiny = np.finfo(np.float32).smallest_subnormal
    outputs = np.array([[1.5, 0.0, -0.0, tiny, -tiny, np.inf, -np.inf, -3, 2]], np.float32)
    assert unpack_bits(pack_outputs(outputs), 9).tolist() == [[1, 0, 0, 1, 0, 1, 0, 0, 1]]


@pytest.mark.parametrize("bits", [1, 12, 64, 65])
def test_no_rows(bits: int) -> None:
    codes = pack_bits(np.zeros((0, bits), bool))
    assert codes.shape == (0, code_bytes(bits))
    assert unpack_bits(codes, bits).shape == (0, bits)
    assert to_lanes(codes, bits).shape == (code_lanes(bits), 0)
    assert from_lanes(to_lanes(codes, bits), bits).shape == codes.shape


def test_strided_codes() -> None:
    codes = pack_bits(random_bits(70, rows=12))
    view = np.asfortranarray(codes)[::3]
    assert np.array_equal(from_lanes(to_lanes(view, 70), 70), codes[::3])
    assert np.array_equal(unpack_bits(view, 70), unpack_bits(codes, 70)[::3])


@pytest.mark.parametrize("bits", [b for b in range(1, 65) if b % 8])
def test_set_padding_is_refused(bits: int) -> None:
    codes = pack_bits(random_bits(bits))
    check_codes(codes, bits)
    for place in range(8 * code_bytes(bits) - bits):
        wrong = codes.copy()
        wrong[3, -1] |= 1 << place
        for use in (check_codes, unpack_bits, to_lanes):
            with pytest.raises(CodeSetError, match=r"padding.* in row 3"):
                use(wrong, bits)


def test_lanes_with_bits_beyond_the_code_are_refused() -> None:
    lanes = to_lanes(pack_bits(random_bits(12)), 12)
    lanes.view(np.uint8).reshape(1, 5, 8)[0, 2, 7] = 1
    with pytest.raises(CodeSetError, match="beyond the 12 bits"):
        from_lanes(lanes, 12)


@pytest.mark.parametrize("bits", [0, -1, 1.0, "8", None, True])
def test_wrong_number_of_bits(bits: object) -> None:
    with pytest.raises(CodeSetError, match="bits must be"):
        code_bytes(bits)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("use", "argument"),
    [
        (lambda a: check_codes(a, 8), [[1]]),
        (lambda a: check_codes(a, 8), np.zeros((2, 1), np.int64)),
        (lambda a: check_codes(a, 9), np.zeros((2, 1), np.uint8)),
        (lambda a: check_codes(a, 8), np.zeros(2, np.uint8)),
        (pack_bits, np.zeros(3, bool)),
        (pack_bits, np.zeros((3, 0), bool)),
        (pack_bits, [[0, 2]]),
        (pack_bits, [[0.5, 1.0]]),
        (pack_bits, [[float("nan"), 1.0]]),
        (pack_outputs, np.zeros((2, 3), np.int32)),
        (pack_outputs, np.zeros(3, np.float32)),
        (pack_outputs, np.array([[1.0, np.nan]])),
        (lambda a: from_lanes(a, 8), np.zeros((1, 2), np.int64)),
        (lambda a: from_lanes(a, 65), np.zeros((1, 2), np.uint64)),
        (lambda a: from_lanes(a, 8), [[1]]),
    ],
)
def test_wrong_arrays(use, argument) -> None:
    with pytest.raises(CodeSetError, match=r"found|NaN"):
        use(argument)
