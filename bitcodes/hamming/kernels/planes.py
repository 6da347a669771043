"""Bit planes: the vector code of the sliced scan, written as LLVM instructions for numba to inline.

A block of 512 codes, turned on its side, is one plane per bit: 8 words, in which bit r of word l
belongs to code 8 r + l. LLVM makes of a plane whatever registers the machine has. Numba has no
vector types, hence the intrinsics; each is a few lines of Python that emit the instructions, and
the jitted loops around them are in the other
files here.

All arrays are C-contiguous uint64; planes and tables are aligned to 64 bytes.
"""

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any

from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba.core import types
from numba.core.cgutils import get_or_insert_function
from numba.extending import intrinsic

BLOCK = 512
"""Codes of a block."""

WORDS = BLOCK // 64
"""Words of a plane."""

ALIGNMENT = 64

TABLE_ROWS = 10
"""Planes of a table: two sums and eight carries."""

_HAS_TERNARY_LOGIC = bool(get_host_cpu_features().get("avx512f"))

_I8, _I16, _I32, _I64 = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.IntType(64)
_PLANE = ir.VectorType(_I64, WORDS)
_PLANE_BYTES = 8 * WORDS


def _splat(builder: Any, word: Any) -> Any:
    """A plane with `word` in every place."""
    undefined = ir.Constant(_PLANE, ir.Undefined)
    lane = builder.insert_element(undefined, word, _I32(0))
    first = ir.Constant(ir.VectorType(_I32, WORDS), [0] * WORDS)
    return builder.shuffle_vector(lane, undefined, first)


def _constant(word: int) -> Any:
    return ir.Constant(_PLANE, [word] * WORDS)


def _is_any(builder: Any, plane: Any) -> Any:
    """Whether a plane has a one."""
    every = ir.IntType(64 * WORDS)
    return builder.icmp_unsigned("!=", builder.bitcast(plane, every), every(0))


class _Memory:
    """Loads and stores at an offset in bytes from a place in an array."""

    def __init__(
        self, context: Any, builder: Any, kind: Any, array: Any, byte: Any, align: int = 8
    ) -> None:
        data = context.make_array(kind)(context, builder, array).data
        self._builder, self._align = builder, align
        self._address = builder.add(builder.ptrtoint(data, _I64), byte)

    def _pointer(self, offset: int, kind: Any) -> Any:
        address = self._builder.add(self._address, _I64(offset))
        return self._builder.inttoptr(address, kind.as_pointer())

    def load(self, offset: int, kind: Any = _PLANE, align: int | None = None) -> Any:
        return self._builder.load(self._pointer(offset, kind), align=align or self._align)

    def store(self, value: Any, offset: int) -> None:
        self._builder.store(value, self._pointer(offset, value.type), align=self._align)

    def moved(self, byte: Any) -> "_Memory":
        """The same array, `byte` bytes on."""
        other = object.__new__(_Memory)
        other._builder, other._align = self._builder, self._align
        other._address = self._builder.add(self._address, byte)
        return other


# --- turning a block on its side ------------------------------------------------------------------


def _exchange(widths: Sequence[int]) -> Callable[..., Any]:
    """An intrinsic that does three steps of the transposition of 64 x 64 bits, on 8 of its rows.

    A step of width w swaps, for rows r and r + w, the bits that lie in the other's half (Hacker's
    Delight, 7-3). The 8 rows are those that the steps mix: `min(widths)` apart.
    """
    stride = min(widths)

    @intrinsic
    def exchange(
        context: Any,
        source: types.Type,
        source_place: types.Type,
        target: types.Type,
        target_place: types.Type,
    ) -> Any:
        """Read 8 rows of `source` from word `source_place` on, write them to `target`."""

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            kinds = signature.args
            eight = _I64(8)
            reader = _Memory(
                context, builder, kinds[0], arguments[0], builder.mul(arguments[1], eight)
            )
            writer = _Memory(
                context, builder, kinds[2], arguments[2], builder.mul(arguments[3], eight)
            )
            rows = [reader.load(row * stride * _PLANE_BYTES) for row in range(8)]
            for width in widths:
                # The low `width` bits of every 2 `width` ones.
                mask = _constant(sum((2**width - 1) << place for place in range(0, 64, 2 * width)))
                shift = _constant(width)
                apart = width // stride
                for row in range(8):
                    if row & apart:
                        continue
                    low, high = rows[row], rows[row + apart]
                    swap = builder.and_(builder.xor(builder.lshr(low, shift), high), mask)
                    rows[row + apart] = builder.xor(high, swap)
                    rows[row] = builder.xor(low, builder.shl(swap, shift))
            for row in range(8):
                writer.store(rows[row], row * stride * _PLANE_BYTES)
            return context.get_dummy_value()

        arguments = (source, types.int64, target, types.int64)
        return types.void(*arguments), generate

    return exchange


exchange_far = _exchange((32, 16, 8))
exchange_near = _exchange((4, 2, 1))


# --- adding up distances --------------------------------------------------------------------------


@intrinsic
def write_table(
    context: Any,
    planes: types.Type,
    first: types.Type,
    second: types.Type,
    third: types.Type,
    tables: types.Type,
    group: types.Type,
) -> Any:
    """Write `tables[group]`, (10, WORDS): the distances in three planes from each of 8 patterns.

    The distance of a code from pattern p, whose bit 0 is compared with plane `first`, is a number
    of two bits. The sum depends on the parity of p alone: rows 0 and 1. The carry is in row
    2 + r for `r = p & 6 | parity of p`, so that the lowest bit of r leads to the sum.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        memory = _Memory(context, builder, signature.args[0], arguments[0], _I64(0), 64)
        planes = [
            memory.moved(builder.mul(place, _I64(_PLANE_BYTES))).load(0) for place in arguments[1:4]
        ]
        byte = builder.mul(arguments[5], _I64(TABLE_ROWS * _PLANE_BYTES))
        table = _Memory(context, builder, signature.args[4], arguments[4], byte, 64)
        total = builder.xor(builder.xor(*planes[:2]), planes[2])
        for pattern in (0, 1, 2, 4):
            x, y, z = (
                builder.not_(plane) if pattern >> place & 1 else plane
                for place, plane in enumerate(planes)
            )
            carry = builder.or_(builder.and_(x, y), builder.and_(z, builder.or_(x, y)))
            # Complementing all three complements the carry.
            for other, over in ((pattern, carry), (7 - pattern, builder.not_(carry))):
                row = other & 6 | other.bit_count() % 2
                table.store(over, (2 + row) * _PLANE_BYTES)
        table.store(total, 0)
        table.store(builder.not_(total), _PLANE_BYTES)
        return context.get_dummy_value()

    arguments = (planes, types.int64, types.int64, types.int64, tables, types.int64)
    return types.void(*arguments), generate


def _full_add(builder: Any, x: Any, y: Any, z: Any) -> tuple[Any, Any]:
    """Sum and carry of three bits, in every place of three planes."""
    total = builder.xor(builder.xor(x, y), z)
    # With xor, the first operation is shared with the sum: five in all. With or, the carry becomes
    # one instruction where there is vpternlogq.
    either = builder.or_(x, y) if _HAS_TERNARY_LOGIC else builder.xor(x, y)
    return total, builder.or_(builder.and_(x, y), builder.and_(either, z))


def _add_up(
    builder: Any, numbers: Iterable[tuple[Any, int]], columns: int
) -> tuple[list[Any], list[Any]]:
    """Add up planes of weight 2**column: the planes of the sums, the lowest first, and the carries.

    Carry-save: when three planes wait in a column, a full adder leaves one there and carries one
    on. What is carried out of the last column, of weight 2**columns each, is the second list. (What
    is not used of all this, the compiler leaves out.)
    """
    waiting: list[list[Any]] = [[] for _ in range(columns)]
    carried_out = []

    def put(plane: Any, column: int) -> None:
        if column == columns:
            carried_out.append(plane)
            return
        waiting[column].append(plane)
        if len(waiting[column]) == 3:
            total, carry = _full_add(builder, *waiting[column])
            waiting[column] = [total]
            put(carry, column + 1)

    for plane, column in numbers:
        put(plane, column)
    for column, planes in enumerate(waiting):
        if len(planes) == 2:
            put(builder.and_(*planes), column + 1)
            waiting[column] = [builder.xor(*planes)]
    return [planes[0] if planes else _constant(0) for planes in waiting], carried_out


def _memories(context: Any, builder: Any, signature: Any, arguments: Any) -> Callable[..., _Memory]:
    """A function of an intrinsic: the array among its arguments at a place, from a byte on."""

    def memory(place: int, byte: Any, align: int = 8) -> _Memory:
        return _Memory(context, builder, signature.args[place], arguments[place], byte, align)

    return memory


def _terms(
    builder: Any, table: _Memory, pattern: _Memory, numbers: int
) -> Iterator[tuple[Any, int]]:
    """The sums and carries, with their columns, that add up to the distances from a query."""
    for number in range(numbers):
        group, column = divmod(number, 2)
        start = TABLE_ROWS * group * _PLANE_BYTES
        if column == 0:
            row = builder.zext(pattern.load(2 * group, _I16), _I64)
            parity = builder.and_(row, _I64(_PLANE_BYTES))
            yield table.moved(parity).load(start), 0
        else:
            yield table.moved(row).load(start + 2 * _PLANE_BYTES), 1


@intrinsic
def find_near(
    context: Any,
    tables: types.Type,
    patterns: types.Type,
    query: types.Type,
    carries: types.Type,
    bound: types.Type,
    near: types.Type,
    numbers: types.UniTuple,
    columns: types.UniTuple,
) -> Any:
    """Set the bits of `near` (WORDS,) of the codes nearer than `bound`; return whether any is.

    `patterns` (Q, G) uint16 gives, in bytes, the row r of each query in the table of each group in
    `tables` (G, TABLE_ROWS, WORDS); see `write_table`. Row `bound` of `carries` (2**C + 1, C) holds
    2**C - bound, a word of all ones or zeros per bit: added to a distance, it reaches 2**C if the
    distance reaches the bound. `numbers` is a tuple as long as the sums and carries to add are many
    (a lone bit has no carry), `columns` one of length C: so the compiler knows them.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        memory = _memories(context, builder, signature, arguments)
        table = memory(0, _I64(0), ALIGNMENT)
        groups = (numbers.count + 1) // 2
        pattern = memory(1, builder.mul(arguments[2], _I64(2 * groups)), 2)
        carry = memory(3, builder.mul(arguments[4], _I64(8 * columns.count)))

        minus_bound = [
            (_splat(builder, carry.load(8 * column, _I64)), column)
            for column in range(columns.count)
        ]
        terms = itertools.chain(minus_bound, _terms(builder, table, pattern, numbers.count))
        _, carries = _add_up(builder, terms, columns.count)
        # Each carry is 2**C; no sum reaches twice that, so that one at most is set in a place.
        close = builder.not_(functools.reduce(builder.or_, carries))
        memory(5, _I64(0)).store(close, 0)
        return _is_any(builder, close)

    arguments = (tables, patterns, types.int64, carries, types.int64, near, numbers, columns)
    return types.boolean(*arguments), generate


@intrinsic
def count_distances(
    context: Any,
    tables: types.Type,
    first_group: types.Type,
    patterns: types.Type,
    query: types.Type,
    mask: types.Type,
    histogram: types.Type,
    first_row: types.Type,
    numbers: types.UniTuple,
) -> Any:
    """Count the distances of the codes in `mask` (WORDS,) from a query.

    Row `first_row` + d of `histogram` (R, WORDS) gets the number of those at distance d added, that
    of each word in a place of its own; there are rows up to the number of bits, plus 2. The tables
    of the block begin at `first_group` of `tables`; the rest is as for `find_near`.

    The codes are parted by one plane of the distance after the other, highest first, so that each
    distance has a plane of its codes in the end, whose ones are counted.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        memory = _memories(context, builder, signature, arguments)
        groups = (numbers.count + 1) // 2
        largest = 3 * (numbers.count // 2) + numbers.count % 2
        columns = largest.bit_length()
        block = builder.mul(arguments[1], _I64(TABLE_ROWS * _PLANE_BYTES))
        table = memory(0, block, ALIGNMENT)
        pattern = memory(2, builder.mul(arguments[3], _I64(2 * groups)), 2)
        counts = memory(5, builder.mul(arguments[6], _I64(_PLANE_BYTES)), ALIGNMENT)
        terms = _terms(builder, table, pattern, numbers.count)
        planes, _ = _add_up(builder, terms, columns)
        kind = ir.FunctionType(_PLANE, [_PLANE])
        name = f"llvm.ctpop.v{WORDS}i64"
        ones = get_or_insert_function(builder.module, kind, name)  # type: ignore[no-untyped-call]

        def part(codes: Any, column: int, distance: int) -> None:
            if distance > largest:
                return
            if column < 0:
                place = distance * _PLANE_BYTES
                counts.store(builder.add(counts.load(place), builder.call(ones, [codes])), place)
                return
            # Few of the distances occur in a block: eight at a time are passed over.
            any_code = _is_any(builder, codes) if column == 2 else None
            with nullcontext() if any_code is None else builder.if_then(any_code):
                part(builder.and_(codes, builder.not_(planes[column])), column - 1, distance)
                part(builder.and_(codes, planes[column]), column - 1, distance + 2**column)

        part(memory(4, _I64(0)).load(0), columns - 1, 0)
        return context.get_dummy_value()

    arguments = (
        *(tables, types.int64, patterns, types.int64),
        *(mask, histogram, types.int64, numbers),
    )
    return types.void(*arguments), generate


@intrinsic
def bits_at(context: Any, plane: types.Type, place: types.Type) -> Any:
    """The bits at `place` of the words of a plane (WORDS,): that of word l is bit l of a uint64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        memory = _Memory(context, builder, signature.args[0], arguments[0], _I64(0))
        # Shifted to the top of its word, a bit is the sign: what a register has an instruction for.
        shift = _splat(builder, builder.sub(_I64(63), arguments[1]))
        negative = builder.icmp_signed("<", builder.shl(memory.load(0), shift), _constant(0))
        return builder.zext(builder.bitcast(negative, ir.IntType(WORDS)), _I64)

    return types.uint64(plane, types.int64), generate


@intrinsic
def prefetch(context: Any, array: types.Type, place: types.Type) -> Any:
    """Ask for the cache line that holds a word of an array, counted through; it need not exist."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        address = builder.bitcast(builder.gep(data, [arguments[1]]), _I8.as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [address.type, _I32, _I32, _I32])
        ask = builder.module.declare_intrinsic("llvm.prefetch", [address.type], kind)
        builder.call(ask, [address, _I32(0), _I32(3), _I32(1)])  # read, keep close, data
        return context.get_dummy_value()

    return types.void(array, types.int64), generate


@intrinsic
def popcount(context: Any, word: types.Type) -> Any:
    """The number of ones of a uint64, as an int64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), generate


@intrinsic
def lowest_one(context: Any, word: types.Type) -> Any:
    """The place of the lowest one of a uint64 that is not 0, as an int64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.IntType(1)(1))

    return types.int64(types.uint64), generate
