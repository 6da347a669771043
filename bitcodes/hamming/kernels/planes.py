# mypy: disable-error-code="no-untyped-def, no-untyped-call, var-annotated"
"""Bit planes: the vector code of the sliced scan, written as LLVM instructions for numba to inline.

A block of 512 codes, turned on its side, is one plane per bit: 8 words, in which bit r of word l
belongs to code 8 r + l. LLVM makes of a plane whatever registers the machine has. Numba has no
vector types, hence the intrinsics.

All arrays are C-contiguous uint64; planes and tables are aligned to 64 bytes.
"""

import functools
import itertools
from contextlib import nullcontext

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
_ZERO = _I64(0)
_PLANE = ir.VectorType(_I64, WORDS)
_PLANE_BYTES = 8 * WORDS


def _splat(builder, word):
    """A plane with `word` in every place."""
    undefined = ir.Constant(_PLANE, ir.Undefined)
    lane = builder.insert_element(undefined, word, _I32(0))
    first = ir.Constant(ir.VectorType(_I32, WORDS), [0] * WORDS)
    return builder.shuffle_vector(lane, undefined, first)


def _constant(word):
    return ir.Constant(_PLANE, [word] * WORDS)


def _is_any(builder, plane):
    """Whether a plane has a one."""
    every = ir.IntType(64 * WORDS)
    return builder.icmp_unsigned("!=", builder.bitcast(plane, every), every(0))


class _Memory:
    """Loads and stores at an offset in bytes from an address, aligned to `align` bytes."""

    def __init__(self, builder, address, align):
        self._builder, self._address, self._align = builder, address, align

    def _pointer(self, offset, kind):
        address = self._builder.add(self._address, _I64(offset))
        return self._builder.inttoptr(address, kind.as_pointer())

    def load(self, offset=0, kind=_PLANE):
        return self._builder.load(self._pointer(offset, kind), align=self._align)

    def store(self, value, offset=0):
        self._builder.store(value, self._pointer(offset, value.type), align=self._align)

    def moved(self, byte):
        """The memory from `byte` bytes on."""
        return _Memory(self._builder, self._builder.add(self._address, byte), self._align)


def _memories(context, builder, signature, arguments):
    """A function of an intrinsic: an array among its arguments, from item `number` on.

    Items are `size` bytes long.
    """

    def memory(place, number=_ZERO, size=8, align=8):
        array = context.make_array(signature.args[place])(context, builder, arguments[place])
        address = builder.ptrtoint(array.data, _I64)
        return _Memory(builder, builder.add(address, builder.mul(number, _I64(size))), align)

    return memory


# --- turning a block on its side ------------------------------------------------------------------


def _exchange(widths):
    """An intrinsic that does three steps of the transposition of 64 x 64 bits, on 8 of its rows.

    A step of width w swaps, for rows r and r + w, the bits that lie in the other's half (Hacker's
    Delight, 7-3). The 8 rows are those that the steps mix: `min(widths)` apart.
    """
    stride = min(widths)

    @intrinsic
    def exchange(context, source, source_place, target, target_place):
        """Read 8 rows of `source` from word `source_place` on, write them to `target`."""

        def generate(context, builder, signature, arguments):
            memory = _memories(context, builder, signature, arguments)
            reader, writer = memory(0, arguments[1]), memory(2, arguments[3])
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

        return types.void(source, types.int64, target, types.int64), generate

    return exchange


exchange_far = _exchange((32, 16, 8))
exchange_near = _exchange((4, 2, 1))


# --- adding up distances --------------------------------------------------------------------------


@intrinsic
def write_table(context, planes, first, second, third, tables, group):
    """Write `tables[group]`, (10, WORDS): the distances in three planes from each of 8 patterns.

    The distance of a code from pattern p, whose bit 0 is compared with plane `first`, is a number
    of two bits. The sum depends on the parity of p alone: rows 0 and 1. The carry is in row
    2 + r for `r = p & 6 | parity of p`, so that the lowest bit of r leads to the sum.
    """

    def generate(context, builder, signature, arguments):
        memory = _memories(context, builder, signature, arguments)
        planes = [memory(0, place, _PLANE_BYTES, ALIGNMENT).load() for place in arguments[1:4]]
        table = memory(4, arguments[5], TABLE_ROWS * _PLANE_BYTES, ALIGNMENT)
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
        table.store(total)
        table.store(builder.not_(total), _PLANE_BYTES)
        return context.get_dummy_value()

    return types.void(planes, *[types.int64] * 3, tables, types.int64), generate


def _full_add(builder, x, y, z):
    """Sum and carry of three bits, in every place of three planes."""
    total = builder.xor(builder.xor(x, y), z)
    # With xor, the first operation is shared with the sum: five in all. With or, the carry becomes
    # one instruction where there is vpternlogq.
    either = builder.or_(x, y) if _HAS_TERNARY_LOGIC else builder.xor(x, y)
    return total, builder.or_(builder.and_(x, y), builder.and_(either, z))


def _add_up(builder, numbers, columns):
    """Add up planes of weight 2**column: the planes of the sums, the lowest first, and the carries.

    Carry-save: when three planes wait in a column, a full adder leaves one there and carries one
    on. What is carried out of the last column, of weight 2**columns each, is the second list. (What
    is not used of all this, the compiler leaves out.)
    """
    waiting = [[] for _ in range(columns)]
    carried_out = []

    def put(plane, column):
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


def _lengths(parts):
    """How many sums and carries each part of a code has, and by how many columns it is shifted."""
    return [tuple(one.count for one in part.types) for part in parts.types]


def _group_count(parts):
    return sum((numbers + 1) // 2 for numbers, _ in _lengths(parts))


def _terms(builder, table, pattern, parts):
    """The sums and carries, with their columns, that add up to the distances from a query."""
    first = 0
    for numbers, shift in _lengths(parts):
        for number in range(numbers):
            group, column = first + number // 2, number % 2
            start = TABLE_ROWS * group * _PLANE_BYTES
            if column == 0:
                row = builder.zext(pattern.load(2 * group, _I16), _I64)
                parity = builder.and_(row, _I64(_PLANE_BYTES))
                yield table.moved(parity).load(start), shift
            else:
                yield table.moved(row).load(start + 2 * _PLANE_BYTES), shift + 1
        first += (numbers + 1) // 2


@intrinsic
def find_near(context, tables, patterns, query, bound, near, parts, columns):
    """Set the bits of `near` (WORDS,) of the codes nearer than `bound`; return whether any is.

    `patterns` (Q, G) uint16 gives, in bytes, the row r of each query in the table of each group in
    `tables` (G, TABLE_ROWS, WORDS); see `write_table`. 2**C - bound, added to a distance, reaches
    2**C if the distance reaches the bound, which is 2**C at most. `parts` has two tuples for each
    part of a code, as long as the sums and carries to add are many (a lone bit has no carry), and
    as the columns that the part is shifted by; `columns` is one of length C: so the compiler knows
    them.
    """

    def generate(context, builder, signature, arguments):
        memory = _memories(context, builder, signature, arguments)
        table = memory(0, align=ALIGNMENT)
        pattern = memory(1, arguments[2], 2 * _group_count(parts), align=2)
        value = builder.sub(_I64(1 << columns.count), arguments[3])
        minus_bound = []
        for column in range(columns.count):
            bit = builder.and_(builder.lshr(value, _I64(column)), _I64(1))
            minus_bound.append((_splat(builder, builder.neg(bit)), column))
        terms = itertools.chain(minus_bound, _terms(builder, table, pattern, parts))
        _, carries = _add_up(builder, terms, columns.count)
        # Each carry is 2**C; no sum reaches twice that, so that one at most is set in a place.
        close = builder.not_(functools.reduce(builder.or_, carries))
        memory(4).store(close)
        return _is_any(builder, close)

    place = types.int64
    return types.boolean(tables, patterns, place, place, near, parts, columns), generate


@intrinsic
def count_distances(
    context, tables, first_group, patterns, query, mask, histogram, first_row, parts
):
    """Count the distances of the codes in `mask` (WORDS,) from a query.

    Row `first_row` + d of `histogram` (R, WORDS) gets the number of those at distance d added, that
    of each word in a place of its own; there are rows up to the largest distance, if each part had
    as many bits as its groups have planes. The tables of the block begin at `first_group` of
    `tables`; the rest is as for `find_near`.

    The codes are parted by one plane of the distance after the other, highest first, so that each
    distance has a plane of its codes in the end, whose ones are counted.
    """

    def generate(context, builder, signature, arguments):
        memory = _memories(context, builder, signature, arguments)
        groups = _group_count(parts)
        largest = sum(
            3 * (numbers // 2) + numbers % 2 << shift for numbers, shift in _lengths(parts)
        )
        columns = largest.bit_length()
        table = memory(0, arguments[1], TABLE_ROWS * _PLANE_BYTES, ALIGNMENT)
        pattern = memory(2, arguments[3], 2 * groups, align=2)
        counts = memory(5, arguments[6], _PLANE_BYTES, ALIGNMENT)
        planes, _ = _add_up(builder, _terms(builder, table, pattern, parts), columns)
        kind = ir.FunctionType(_PLANE, [_PLANE])
        name = f"llvm.ctpop.v{WORDS}i64"
        ones = get_or_insert_function(builder.module, kind, name)

        def part(codes, column, distance):
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

        part(memory(4).load(), columns - 1, 0)
        return context.get_dummy_value()

    place = types.int64
    return types.void(tables, place, patterns, place, mask, histogram, place, parts), generate


@intrinsic
def bits_at(context, plane, place):
    """The bits at `place` of the words of a plane (WORDS,): that of word l is bit l of a uint64."""

    def generate(context, builder, signature, arguments):
        planes = _memories(context, builder, signature, arguments)(0)
        # Shifted to the top of its word, a bit is the sign: what a register has an instruction for.
        shift = _splat(builder, builder.sub(_I64(63), arguments[1]))
        negative = builder.icmp_signed("<", builder.shl(planes.load(), shift), _constant(0))
        return builder.zext(builder.bitcast(negative, ir.IntType(WORDS)), _I64)

    return types.uint64(plane, types.int64), generate


@intrinsic
def prefetch(context, array, place):
    """Ask for the cache line that holds a word of an array, counted through; it need not exist."""

    def generate(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        address = builder.bitcast(builder.gep(data, [arguments[1]]), _I8.as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [address.type, _I32, _I32, _I32])
        ask = builder.module.declare_intrinsic("llvm.prefetch", [address.type], kind)
        builder.call(ask, [address, _I32(0), _I32(3), _I32(1)])  # read, keep close, data
        return context.get_dummy_value()

    return types.void(array, types.int64), generate


@intrinsic
def popcount(context, word):
    """The number of ones of a uint64, as an int64."""

    def generate(context, builder, signature, arguments):
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), generate


@intrinsic
def lowest_one(context, word):
    """The place of the lowest one of a uint64 that is not 0, as an int64."""

    def generate(context, builder, signature, arguments):
        return builder.cttz(arguments[0], ir.IntType(1)(1))

    return types.int64(types.uint64), generate
