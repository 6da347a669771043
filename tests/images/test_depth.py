"""Gray of more than 8 bits: black and white as the file says, else as the values say."""

import struct
import zlib

import numpy as np
import pytest
from hostile import png, saved, tiff
from PIL import Image, TiffImagePlugin

from bitcodes.errors import ImageError
from bitcodes.images.decode import open_image, to_upright_rgb

RAMP = np.linspace(0, 1, 64).reshape(8, 8)


def shown(
    values: np.ndarray, kind: str = "TIFF", signed: bool = False, **tags: object
) -> np.ndarray:
    """The gray levels that come out for a file of these values."""
    options: dict[str, object] = {"signed": True} if signed else {}
    if tags:
        info = TiffImagePlugin.ImageFileDirectory_v2()
        for name, value in tags.items():
            number = int(name.removeprefix("tag"))
            info[number] = value
        options["tiffinfo"] = info
    found = np.asarray(open_image(saved(Image.fromarray(values), kind, **options)))
    assert (found == found[..., :1]).all()
    return found[..., 0].astype(int)


@pytest.mark.parametrize("kind", ["TIFF", "PNG"])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_fewer_bits_in_sixteen_have_their_full_range(bits: int, kind: str) -> None:
    values = (RAMP * (2**bits - 1)).astype(np.uint16)
    np.testing.assert_array_equal(shown(values, kind), values >> (bits - 8))


def test_black_stays_black_and_white_need_not_be_there() -> None:
    values = (RAMP * 3000 + 100).astype(np.uint16)  # of 12 bits
    np.testing.assert_array_equal(shown(values), values >> 4)


def test_a_small_part_of_the_range_is_stretched() -> None:
    heat = (RAMP * 900 + 7300).astype(np.uint16)
    expected = np.rint((heat - 7300.0) / (heat.max() - 7300) * 255)
    np.testing.assert_array_equal(shown(heat), expected)
    flat = np.full((8, 8), 7300, np.uint16)
    assert len(np.unique(shown(flat))) == 1


def test_a_few_numbers_of_classes_can_be_told_apart() -> None:
    assert shown(np.array([[0, 1, 2, 3]], np.uint16)).tolist() == [[0, 85, 170, 255]]


def test_what_the_file_states_goes_before_the_values() -> None:
    values = (RAMP * 1000).astype(np.uint16)
    np.testing.assert_array_equal(shown(values, tag281=4095), values >> 4)
    assert abs(shown(values, tag280=0, tag281=2000) - values / 2000 * 255).max() <= 0.5
    # A smallest and largest value that the picture exceeds, or the type's own, say nothing.
    for wrong in (100, 65535):
        np.testing.assert_array_equal(shown(values, tag281=wrong), shown(values))


def test_real_numbers_state_their_range_too() -> None:
    values = (RAMP * 2 + 1).astype(np.float32)
    found = shown(values, tag340=0.0, tag341=4.0)
    assert abs(found - values / 4 * 255).max() <= 0.5


@pytest.mark.parametrize("most", [0.3, 1.0, 1.004, 1.09])
def test_real_numbers_about_0_to_1_are_taken_as_such(most: float) -> None:
    values = (RAMP * most).astype(np.float32)
    assert abs(shown(values) - np.clip(values, 0, 1) * 255).max() <= 0.5


def test_a_spark_does_not_darken_the_picture() -> None:
    values = np.tile(RAMP, (40, 40)).astype(np.float32)
    expected = shown(values)
    values[0, 0] = 900
    assert (shown(values) == expected).mean() > 0.999


@pytest.mark.parametrize(("low", "high"), [(0, 3), (0, 30), (-5, 5), (1e6, 2e6), (0, 0.01)])
def test_other_real_numbers_are_stretched(low: float, high: float) -> None:
    values = (RAMP * (high - low) + low).astype(np.float32)
    assert abs(shown(values) - RAMP * 255).max() <= 1


def by_hand(values: list[int], dtype: str, sample_format: int) -> list[int]:
    """What comes out for a TIFF file of a row of values of this type."""
    data = np.array(values, dtype)
    bits, count = 8 * data.itemsize, 10
    entries = [(256, 4, 1, len(values)), (257, 4, 1, 1), (258, 3, 1, bits), (259, 3, 1, 1)]
    entries += [(262, 3, 1, 1), (273, 4, 1, 8 + 2 + 12 * count + 4), (277, 3, 1, 1)]
    entries += [(278, 4, 1, 1), (279, 4, 1, data.nbytes), (339, 3, 1, sample_format)]
    found = np.asarray(open_image(tiff(*entries, tail=data.tobytes())))
    return found[0, :, 0].tolist()  # type: ignore[no-any-return]


def test_signed_and_unsigned_integers() -> None:
    assert abs(shown((RAMP * 2000 - 1000).astype(np.int32)) - RAMP * 255).max() <= 1
    assert by_hand([0, 8192, 16384, 32767], "<i2", 2) == [0, 64, 128, 255]
    assert by_hand([-32768, 0, 32767], "<i2", 2) == [0, 128, 255]
    assert by_hand([0, 2**31 - 1, 2**32 - 1], "<u4", 1) == [0, 127, 255]
    assert by_hand([-(2**31), 0, 2**31 - 1], "<i4", 2) == [0, 128, 255]
    assert by_hand([0, 100, 255], "<u4", 1) == [0, 100, 255]


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_white_is_zero(dtype: type) -> None:
    values = (RAMP * (65535 if dtype == np.uint16 else 1)).astype(dtype)
    content = bytearray(saved(Image.fromarray(values), "TIFF"))
    photometric = content.index(bytes([6, 1, 3, 0, 1, 0, 0, 0]))  # tag 262, short, one
    plain = np.asarray(open_image(bytes(content))).astype(int)
    content[photometric + 8] = 0
    np.testing.assert_array_equal(np.asarray(open_image(bytes(content))), 255 - plain)


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
@pytest.mark.parametrize("channels", [3, 4])
def test_colour_of_fewer_bits_in_sixteen_is_as_bright_as_gray(bits: int, channels: int) -> None:
    values = np.repeat((RAMP * (2**bits - 1)).astype(">u2")[..., None], channels, axis=-1)
    values[..., 3:] = 65535  # opaque
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    content = png(8, 8, 16, 2 if channels == 3 else 6, (b"IDAT", zlib.compress(rows)))
    found = np.asarray(open_image(content)).astype(int)
    step = 255 / (2 ** (bits - 8) - 1)  # what Pillow leaves of them
    assert abs(found - RAMP[..., None] * 255).max() <= step
    assert found.max() == 255


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("colour", [0, 2, 4, 6])
def test_a_png_of_sixteen_bits_has_its_full_range_in_all_modes(bits: int, colour: int) -> None:
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour]
    values = np.repeat((RAMP * (2**bits - 1)).astype(">u2")[..., None], channels, axis=-1)
    if colour in (4, 6):
        values[..., -1] = 65535  # opaque
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    content = png(8, 8, 16, colour, (b"IDAT", zlib.compress(rows)))
    found = np.asarray(open_image(content)).astype(int)
    assert abs(found - RAMP[..., None] * 255).max() <= 255 / (2 ** (bits - 8) - 1) + 1


@pytest.mark.parametrize("colour", [0, 2])
def test_a_transparent_value_of_sixteen_bits(colour: int) -> None:
    values = np.array([[60000, 1000, 30000]], ">u2")
    hidden = values[0, :1].tobytes() * (1 if colour == 0 else 3)
    row = b"\0" + (values if colour == 0 else np.repeat(values[..., None], 3, -1)).tobytes()
    pixels = (b"IDAT", zlib.compress(row))
    found = np.asarray(open_image(png(3, 1, 16, colour, (b"tRNS", hidden), pixels)))
    assert abs(found[0, :, 0].astype(int) - [255, 3, 117]).max() <= 1


def test_heat_in_hundredths_of_a_kelvin() -> None:
    values = (RAMP * 3000 + 28000).astype(np.uint16)
    assert abs(shown(values) - (values - 28000.0) / (values.max() - 28000.0) * 255).max() <= 0.5
    flat = (np.rint(RAMP * 16).astype(np.uint16) + 110) * 257  # made from 8 bits: as these are
    np.testing.assert_array_equal(shown(flat), flat >> 8)


def test_depths_in_the_headers_of_pgm_and_jpeg_2000() -> None:
    for most in (1023, 1000, 4095, 65535):
        values = (RAMP * most).astype(">u2")
        found = np.asarray(open_image(b"P5 8 8 %d\n" % most + values.tobytes()))[..., 0]
        assert abs(found - RAMP * 255).max() <= 1.5, most
    dark = (RAMP * 200).astype(">u2")
    assert np.asarray(open_image(b"P5 8 8 4095\n" + dark.tobytes())).max() <= 13
    # 65,535 is what programs write without looking: as in a TIFF, the values decide.
    twelve = (RAMP * 4095).astype(np.uint16)
    for content in (
        b"P5 8 8 65535\n" + twelve.astype(">u2").tobytes(),
        b"P2 8 8 65535\n" + b" ".join(b"%d" % value for value in twelve.ravel()),
        saved(Image.fromarray(twelve), "JPEG2000"),
        saved(Image.fromarray(twelve), "TIFF"),
        saved(Image.fromarray(twelve), "PNG"),
    ):
        np.testing.assert_array_equal(np.asarray(open_image(content))[..., 0], twelve >> 4)
    colour = np.repeat(twelve.astype(">u2")[..., None], 3, -1)
    found = np.asarray(open_image(b"P6 8 8 65535\n" + colour.tobytes())).astype(int)
    assert abs(found - RAMP[..., None] * 255).max() <= 26  # Pillow leaves 4 bits, rounded


def test_packed_twelve_bits_that_are_nearly_black_are_as_unpacked_ones() -> None:
    values = (RAMP * 30).astype(np.uint16)
    pairs = values.reshape(-1, 2)
    packed = np.stack(
        [pairs[:, 0] >> 4, (pairs[:, 0] & 15) << 4 | pairs[:, 1] >> 8, pairs[:, 1] & 255], -1
    ).astype(np.uint8)
    entries = [(256, 4, 1, 8), (257, 4, 1, 8), (258, 3, 1, 12), (259, 3, 1, 1), (262, 3, 1, 1)]
    entries += [(273, 4, 1, 8 + 2 + 12 * 9 + 4), (277, 3, 1, 1), (278, 4, 1, 8), (279, 4, 1, 96)]
    found = np.asarray(open_image(tiff(*entries, tail=packed.tobytes())))[..., 0]
    np.testing.assert_array_equal(found, shown(values))
    assert found.max() == 255


@pytest.mark.parametrize("filler", [-9999.0, -99999.0, -3.4028234663852886e38, 9.96921e36, 1e30])
@pytest.mark.parametrize(("low", "high"), [(-50, 50), (0, 8000), (200, 320), (0.2, 0.9)])
def test_values_that_stand_for_none_do_not_count(filler: float, low: float, high: float) -> None:
    values = (RAMP * (high - low) + low).astype(np.float32)
    expected = shown(values)
    values[3, 3] = filler
    found = shown(values)
    found[3, 3] = expected[3, 3]
    assert abs(found - expected).max() <= 1


def test_a_filler_that_the_file_states() -> None:
    values = (RAMP * 300 - 20).astype(np.float32)
    expected = shown(values)
    values[0, 0] = -500
    found = shown(values, tag42113="-500")
    assert abs(found - expected).max() <= 4
    assert shown(np.full((4, 4), 7, np.float32), tag42113="7").shape == (4, 4)


def test_medical_pictures_with_filled_corners() -> None:
    values = (RAMP * 4000 - 1000).astype(np.int16)
    values[0] = -32768
    found = by_hand(values[:2].ravel().tolist(), "<i2", 2)
    assert found[:8] == [0] * 8
    assert np.ptp(found[8:]) > 250


def test_a_spark_far_from_other_real_numbers() -> None:
    values = np.tile(RAMP, (40, 40)).astype(np.float32) * 100 - 50
    expected = shown(values)
    values[0, 0] = 1e6
    assert abs(shown(values) - expected)[0, 1:].max() <= 1


@pytest.mark.parametrize("dtype", [">u2", ">i2", ">i4", ">f4"])
def test_big_endian_files_are_as_little_endian_ones(dtype: str) -> None:
    big = np.dtype(dtype)
    values = (RAMP * 30_000).astype(big)
    found = []
    for form, order in (("<", b"II*\0"), (">", b"MM\0*")):
        data = values.astype(big.newbyteorder(form)).tobytes()
        formats = {"u": 1, "i": 2, "f": 3}
        entries = [(256, 4, 8), (257, 4, 8), (258, 3, 8 * big.itemsize), (259, 3, 1), (262, 3, 1)]
        entries += [(273, 4, 8 + 2 + 120 + 4), (277, 3, 1), (278, 4, 8), (279, 4, len(data))]
        entries += [(339, 3, formats[big.kind])]
        body = b"".join(
            struct.pack(form + "HHI", tag, kind, 1)
            + struct.pack(form + {3: "HH", 4: "I"}[kind], *([value, 0] if kind == 3 else [value]))
            for tag, kind, value in entries
        )
        head = order + struct.pack(form + "IH", 8, len(entries))
        found.append(np.asarray(open_image(head + body + bytes(4) + data))[..., 0].astype(int))
    np.testing.assert_array_equal(*found)
    assert abs(found[0] - RAMP * 255 * 30_000 / (32767 if big.kind == "i" else 65535)).max() <= (
        1.1 if big.kind == "i" and big.itemsize == 2 else 260
    )
    assert np.ptp(found[0]) > 100


def test_a_few_sparks_do_not_darken_gray_of_sixteen_bits() -> None:
    values = np.tile(RAMP * 900 + 10, (40, 40)).astype(np.uint16)
    expected = shown(values)
    values[0, :9] = 60_000  # hot pixels of a sensor
    np.testing.assert_array_equal(shown(values)[1:], expected[1:])


@pytest.mark.parametrize("offset", [-2000, 0, 29_000])
def test_signed_jpeg_2000_goes_from_its_smallest_to_its_largest_value(offset: int) -> None:
    values = (RAMP * 3000 + offset).astype(np.int16).view(np.uint16)
    found = shown(values, "JPEG2000", signed=True)
    assert abs(found - RAMP * 255).max() <= 1


def test_stars_do_not_hide_what_is_between_them() -> None:
    sky = np.tile(RAMP * 400 + 30, (40, 40))
    sky.ravel()[::1000] = 30_000
    cards = ["SIMPLE  =                    T", "BITPIX  =                   16"]
    cards += ["NAXIS   =                    2", f"NAXIS1  = {320:20}", f"NAXIS2  = {320:20}", "END"]
    head = "".join(card.ljust(80) for card in cards).ljust(2880).encode()
    content = head + sky.astype(">i2").tobytes()
    found = np.asarray(open_image(content)).astype(int)[::-1, :, 0]  # its rows begin below
    assert found.shape == (320, 320)
    assert np.ptp(found[8:16, 8:16]) >= 240


@pytest.mark.parametrize("mode", ["I", "F"])
def test_gray_of_32_bits_has_fewer_pixels(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bitcodes.images.decode.MAX_GRAY_32_PIXELS", 100)
    assert to_upright_rgb(Image.new(mode, (10, 10))).size == (10, 10)
    with pytest.raises(ImageError, match="too large: 11 x 10, more than 100 pixels"):
        to_upright_rgb(Image.new(mode, (11, 10)))
    assert to_upright_rgb(Image.new("I;16", (11, 10))).size == (11, 10)
