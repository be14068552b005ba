# SPDX-License-Identifier: Apache-2.0
"""One image file: read right in every format, fitted with its aspect kept, or refused with a reason before it costs."""

from __future__ import annotations

import io
import struct
import time
import tracemalloc
import zlib

import numpy as np
import pytest
from image_files import decode_pixels, draw, encode, encode_tiff, png_chunks, png_header
from PIL import Image

from nas.config import InputShape
from nas.data.decoding.faults import ImageFault
from nas.data.decoding.picture import FORMATS, Header, Limits, decode, is_dark, read_header

LIMITS = Limits()
GREY_4 = InputShape(channels=1, height=4, width=4)
COLOUR_4 = InputShape(channels=3, height=4, width=4)
LEVELS = np.array([[0, 255, 128, 1]] * 4, np.uint8)
LEVELS_16 = np.array([[0, 65535, 32896, 257]] * 4, np.uint16)
"""The same on the scale of 16 bits."""


def _reason(content: bytes, limits: Limits = LIMITS) -> str:
    with pytest.raises(ImageFault) as caught:
        decode_pixels(content, GREY_4, limits)
    return caught.value.reason


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_grey_images_keep_every_level(kind: str) -> None:
    """At its own size an image of a lossless format is handed over as it is."""
    content = encode(LEVELS, kind)

    assert LEVELS.tolist() == decode_pixels(content, GREY_4, LIMITS)[0].tolist()
    assert Header(width=4, height=4, is_grey=True, kind=kind) == read_header(content, LIMITS)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_colours_keep_their_channels(kind: str) -> None:
    """Red, green and blue come first to last, and as grey they weigh as ITU-R 601 says."""
    colours = np.zeros((4, 4, 3), np.uint8)
    colours[:, 0, 0] = colours[:, 1, 1] = colours[:, 2, 2] = 255
    content = encode(colours, kind)

    assert np.array_equal(colours.transpose(2, 0, 1), decode_pixels(content, COLOUR_4, LIMITS))
    assert [76, 150, 29, 0] == decode_pixels(content, GREY_4, LIMITS)[0, 0].tolist()
    assert not read_header(content, LIMITS).is_grey


@pytest.mark.parametrize("quality", [50, 95])
def test_a_jpeg_is_what_it_would_be_without_loss(quality: int) -> None:
    """A large JPEG is unpacked at a fraction of its size, and yet within a few levels of the same image as a PNG."""
    smooth = (np.add.outer(np.arange(512), np.arange(512)) // 4).astype(np.uint8)

    small = decode_pixels(encode(smooth, "JPEG", quality=quality), GREY_4, LIMITS).astype(int)

    assert np.abs(small - decode_pixels(encode(smooth), GREY_4, LIMITS)).max() <= 3


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_become_eight_by_scale_not_by_cut(kind: str) -> None:
    """65,535 is white and 257 is one step: the whole range of the format is used, whatever the image holds."""
    assert LEVELS.tolist() == decode_pixels(encode(LEVELS_16, kind), GREY_4, LIMITS)[0].tolist()


def test_big_endian_and_white_is_zero_are_understood() -> None:
    """Both byte orders of TIFF; where 0 is white, as in some mammograms, the levels are turned round."""
    big_endian = encode(LEVELS_16.astype(">u2"), "TIFF")
    inverted = encode(LEVELS_16, "TIFF", tiffinfo={262: 0})

    assert LEVELS.tolist() == decode_pixels(big_endian, GREY_4, LIMITS)[0].tolist()
    assert (255 - LEVELS).tolist() == decode_pixels(inverted, GREY_4, LIMITS)[0].tolist()


def test_pgm_keeps_its_own_scale() -> None:
    """The largest value of a PGM is white, be it 4095 of 12 bits; the text form is read, too."""
    twelve_bits = b"P5 4 4 4095\n" + np.array([[0, 4095, 2056, 16]] * 4, ">u2").tobytes()
    text = b"P2 4 4 255\n" + b" ".join(str(level).encode() for level in LEVELS.ravel()) + b"\n"

    assert LEVELS.tolist() == decode_pixels(twelve_bits, GREY_4, LIMITS)[0].tolist()
    assert LEVELS.tolist() == decode_pixels(text, GREY_4, LIMITS)[0].tolist()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_stand_upright(kind: str, orientation: int) -> None:
    """However a camera was held, the image is handed over as a viewer shows it."""
    upright = np.zeros((64, 64), np.uint8)
    upright[:32, :32], upright[:32, 32:] = 250, 120
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright),
        7: upright[::-1, ::-1].T,
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[274] = orientation
    content = encode(stored, kind, **({"tiffinfo": {274: orientation}} if kind == "TIFF" else {"exif": exif}))

    corners = decode_pixels(content, GREY_4, LIMITS)[0][[0, 0, 3, 3], [0, 3, 0, 3]]

    assert np.abs(corners.astype(int) - [250, 120, 0, 0]).max() < 8


def test_broken_exif_is_no_reason_to_refuse() -> None:
    """Metadata that cannot be read leaves an image as it is."""
    content = encode(LEVELS, "PNG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")

    assert LEVELS.tolist() == decode_pixels(content, GREY_4, LIMITS)[0].tolist()


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_values_of_fewer_bits_fill_the_range_if_told(kind: str) -> None:
    """Twelve bits in sixteen come out dark unless somebody says that white is 4,095; how many are used is known."""
    twelve = encode(np.array([[0, 4095, 2056, 16]] * 4, np.uint16), kind)

    as_found, as_told = decode(twelve, GREY_4, LIMITS), decode(twelve, GREY_4, LIMITS, sample_bits=12)

    assert (12, [0, 16, 8, 0]) == (as_found.bits, as_found.pixels_CHW[0, 0].tolist())
    assert (12, LEVELS[0].tolist()) == (as_told.bits, as_told.pixels_CHW[0, 0].tolist())
    assert [True, False] == [is_dark(12, 0), is_dark(12, 12)]


@pytest.mark.parametrize(
    "content",
    [
        encode_tiff(np.array([[0, 4095, 2056, 16]] * 4, np.uint16), 12),
        b"P5 4 4 4095\n" + np.array([[0, 4095, 2056, 16]] * 4, ">u2").tobytes(),
    ],
    ids=["TIFF of 12 bits a sample", "PGM up to 4095"],
)
@pytest.mark.parametrize("sample_bits", [0, 10])
def test_a_header_that_tells_the_scale_counts(content: bytes, sample_bits: int) -> None:
    """White is what the file says, whatever the option says, and nothing is dark."""
    picture = decode(content, GREY_4, LIMITS, sample_bits=sample_bits)

    assert (0, LEVELS[0].tolist()) == (picture.bits, picture.pixels_CHW[0, 0].tolist())


def test_significant_bits_of_a_png_change_nothing() -> None:
    """By the standard sBIT says how exact the values are, not how they are scaled."""
    samples = b"".join(b"\0" + row.tobytes() for row in LEVELS_16.astype(">u2"))
    chunks = (png_header(4, 4, depth=16), (b"sBIT", b"\x0c"), (b"IDAT", zlib.compress(samples)), (b"IEND", b""))

    assert LEVELS.tolist() == decode_pixels(png_chunks(*chunks), GREY_4, LIMITS)[0].tolist()


def test_values_beyond_the_bits_are_refused() -> None:
    """Cutting them off would hide that the option is wrong."""
    with pytest.raises(ImageFault, match="holds values of 16 bits, more than the 12 of --sample-bits"):
        decode(encode(LEVELS_16), GREY_4, LIMITS, sample_bits=12)


@pytest.mark.parametrize(("size", "box"), [((80, 40), (0, 16, 64, 48)), ((40, 80), (16, 0, 48, 64))])
@pytest.mark.parametrize("factor", [1, 0.2, 5])
def test_the_aspect_is_kept(size: tuple[int, int], box: tuple[int, int, int, int], factor: float) -> None:
    """A white image of 2:1 fills the middle of the square from edge to edge, the rest is black."""
    white = np.full((int(size[1] * factor), int(size[0] * factor)), 255, np.uint8)

    fitted = decode_pixels(encode(white), InputShape(channels=1, height=64, width=64), LIMITS)[0]

    left, top, right, bottom = box
    expected = np.zeros((64, 64), np.uint8)
    expected[top:bottom, left:right] = 255
    assert np.array_equal(expected, fitted)


def test_a_line_of_pixels_is_at_least_one_pixel_thick() -> None:
    """1,000:1 does not vanish."""
    fitted = decode_pixels(encode(np.full((1, 1000), 255, np.uint8)), GREY_4, LIMITS)[0]

    assert 4 == np.count_nonzero(fitted)


def test_transparency_shows_black() -> None:
    """What nobody sees in the image is not learned from: transparent pixels are as black as the padding."""
    pixels = np.full((4, 4, 4), 200, np.uint8)
    pixels[:, :, 3] = [0, 255, 255, 0]

    assert [0, 200, 200, 0] == decode_pixels(encode(pixels), GREY_4, LIMITS)[0, 0].tolist()


def test_palettes_are_read_and_a_grey_one_is_grey() -> None:
    """An indexed image is what its palette says."""
    image = Image.fromarray(np.array([[0, 1, 2, 1]] * 4, np.uint8), "L").convert("P")
    palettes = {True: [10, 10, 10, 20, 20, 20, 30, 30, 30], False: [10, 10, 10, 20, 20, 20, 30, 0, 30]}
    for is_grey, palette in palettes.items():
        image.putpalette(palette)
        content = encode_image(image)

        assert is_grey == read_header(content, LIMITS).is_grey
        assert [10, 20] == decode_pixels(content, GREY_4, LIMITS)[0, 0, :2].tolist()


def encode_image(image: Image.Image) -> bytes:
    """A PNG of an image that is no plain array."""
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "ICO"])
def test_other_formats_are_refused(kind: str) -> None:
    """Only formats on the list are given to a decoder at all."""
    assert "is no PNG, JPEG, BMP, TIFF, PGM or DICOM image, or its header is damaged" == _reason(encode(draw(1), kind))
    assert ("PNG", "JPEG", "BMP", "TIFF", "PPM") == FORMATS


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "TIFF", "PPM"])
def test_a_file_that_is_cut_short_is_refused(kind: str) -> None:
    """At every tenth of its length: an image is whole or none."""
    content = encode(draw(1, (64, 64)), kind)
    for tenths in range(10):
        reason = _reason(content[: len(content) * tenths // 10])

        assert reason in (
            "is damaged or cut short",
            "is no PNG, JPEG, BMP, TIFF, PGM or DICOM image, or its header is damaged",
        )


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (np.zeros((4, 4), np.float32), "holds floating-point numbers, whose scale is not known"),
        (np.full((4, 4), 70_000, np.int32), "holds numbers beyond 16 bits, whose scale is not known"),
        (np.full((4, 4), -1, np.int32), "holds numbers beyond 16 bits, whose scale is not known"),
    ],
)
def test_numbers_without_a_scale_are_refused(pixels: np.typing.NDArray[np.generic], reason: str) -> None:
    """Where nobody says what is white, nothing is guessed."""
    assert reason == _reason(encode(pixels, "TIFF"))


def test_pixels_are_counted_before_they_are_unpacked() -> None:
    """84 MB of zeros in a PNG of 84 KB are refused by what the header says, at once and in little memory."""
    bomb = encode(np.zeros((9_200, 9_200), np.uint8))
    tracemalloc.start()
    begin = time.process_time()

    reason = _reason(bomb)

    seconds, (_, peak) = time.process_time() - begin, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert TOO_LARGE == reason
    assert len(bomb) < 100_000
    assert seconds < 1
    assert peak < 2**20


def test_the_cap_on_pixels_is_exact() -> None:
    """As many as allowed are read, one more is not."""
    assert (1, 4, 4) == decode_pixels(encode(draw(1, (10, 10))), GREY_4, Limits(pixels=100)).shape
    assert "has more than 99 pixels" in _reason(encode(draw(1, (10, 10))), Limits(pixels=99))


DAMAGED = "is damaged or cut short"
NO_IMAGE = "is no PNG, JPEG, BMP, TIFF, PGM or DICOM image, or its header is damaged"
TOO_LARGE = "has more than 16,777,216 pixels; the server's NAS_MAX_IMAGE_PIXELS can allow more"
BOMBS = {
    "a header that claims four billion pixels": png_chunks(png_header(65535, 65535), (b"IDAT", b"x"), (b"IEND", b"")),
    "a header that claims the largest sides": png_chunks(png_header(2**31 - 1, 2**31 - 1), (b"IDAT", b"x")),
    "text of 256 MB": png_chunks(
        png_header(4, 4), (b"zTXt", b"k\0\0" + zlib.compress(bytes(2**28))), (b"IDAT", b"x"), (b"IEND", b"")
    ),
    "a profile of 256 MB": png_chunks(
        png_header(4, 4), (b"iCCP", b"k\0\0" + zlib.compress(bytes(2**28))), (b"IDAT", b"x"), (b"IEND", b"")
    ),
    "a TIFF whose pages go round in a circle": struct.pack("<2sHIHI", b"II", 42, 8, 0, 8),
    "a TIFF tag of four billion values": struct.pack("<2sHIHHHIII", b"II", 42, 8, 1, 256, 4, 2**32 - 1, 8, 0),
    "a PGM of four billion rows": b"P5 1 4000000000 255\n" + bytes(64),
    "a BMP that claims a gigapixel": b"BM"
    + struct.pack("<IHHIIiiHHIIiiII", 64, 0, 0, 54, 40, 32767, 32767, 1, 8, 0, 0, 0, 0, 0, 0),
}


@pytest.mark.parametrize(
    ("name", "expected"),
    list(zip(BOMBS, (TOO_LARGE, TOO_LARGE, DAMAGED, DAMAGED, NO_IMAGE, NO_IMAGE, TOO_LARGE, TOO_LARGE), strict=True)),
)
def test_bombs_are_refused_at_once(name: str, expected: str) -> None:
    """Whatever a small file claims or unpacks to: the true reason within a second, in little memory."""
    tracemalloc.start()
    begin = time.process_time()

    reason = _reason(BOMBS[name])

    seconds, (_, peak) = time.process_time() - begin, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert expected == reason
    assert seconds < 1
    assert peak < 32 * 2**20


def test_a_thousand_pages_are_one_image() -> None:
    """Of a TIFF with many pages the first is the image; the others are not even looked for."""
    pages = [Image.fromarray(draw(number)) for number in range(1000)]
    stream = io.BytesIO()
    pages[0].save(stream, "TIFF", save_all=True, append_images=pages[1:])

    first = decode_pixels(stream.getvalue(), InputShape(channels=1, height=8, width=8), LIMITS)

    assert np.array_equal(draw(0), first[0])


def test_any_damage_is_an_image_or_a_reason() -> None:
    """500 files with random bytes in random places: never anything but an array or ``ImageFault``, and never a name."""
    random = np.random.default_rng(5)
    kinds = ["PNG", "JPEG", "BMP", "TIFF", "PPM"]
    originals = [encode(draw(number, (24, 24), channels=3), kind) for number, kind in enumerate(kinds)]
    reasons = []
    for trial in range(500):
        content = np.frombuffer(originals[trial % len(originals)], np.uint8).copy()
        places = random.integers(0, min(len(content), 200 if trial % 2 else len(content)), random.integers(1, 8))
        content[places] = random.integers(0, 256, len(places))
        try:
            assert (1, 4, 4) == decode_pixels(content.tobytes(), GREY_4, LIMITS).shape
        except ImageFault as error:
            reasons.append(error.reason)

    assert 100 < len(reasons) < 500
    assert not [reason for reason in reasons if "0x" in reason]
