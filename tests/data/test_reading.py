"""One picture file: modes, depth, orientation, alpha, damage and size, against PIL and by hand."""

from __future__ import annotations

import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps
from samples import noise, to_pil

from archspec.data import DataError, open_dataset, read_images
from archspec.data.errors import PictureError
from archspec.data.reading import look, plain, read_picture

RAMP = np.linspace(0, 65535, 48 * 20).astype(np.uint16).reshape(20, 48)


def pixels(path: Path) -> np.ndarray:
    picture, form = read_picture(path), look(path)
    assert form == ({"L": 1, "RGB": 3}[picture.mode], picture.height, picture.width)
    return np.asarray(picture)


def reason(path: Path) -> str:
    """Why a picture cannot be read."""
    with pytest.raises(PictureError) as error:
        read_picture(path)
    assert error.value.message == f"cannot read the picture {error.value.line}"
    return error.value.line.removeprefix(f"{path}: ")


@pytest.mark.parametrize("name", ["x.png", "x.tif", "big.tif", "x.pgm", "turned.png"])
def test_sixteen_bits_become_eight_and_stay_grey(tmp_path: Path, name: str) -> None:
    path, expected = tmp_path / name, np.rint(RAMP / 257.0)
    exif = Image.Exif()
    if name == "turned.png":
        exif[0x0112], expected = 3, expected[::-1, ::-1]
    array = RAMP.astype(">u2") if name == "big.tif" else RAMP
    Image.fromarray(array).save(path, **({"exif": exif} if "png" in name else {}))
    assert len(np.unique(expected)) == 256
    assert np.array_equal(pixels(path), expected)


def test_bytes_written_with_sixteen_bits_come_back(tmp_path: Path) -> None:
    Image.fromarray(np.arange(256, dtype=np.uint16).reshape(16, 16) * 257).save(tmp_path / "x.png")
    assert pixels(tmp_path / "x.png").tolist() == np.arange(256).reshape(16, 16).tolist()


def test_twelve_bits_become_eight(tmp_path: Path) -> None:
    # A TIFF written by hand: two pixels of 4095 and 2048 in three bytes.
    tags = {256: 2, 257: 1, 258: 12, 259: 1, 262: 1, 273: 8, 277: 1, 278: 1, 279: 3}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    data = b"II*\0" + struct.pack("<I", 12) + b"\xff\xf8\x00\0"
    path = tmp_path / "x.tif"
    path.write_bytes(data + struct.pack("<H", len(tags)) + entries + b"\0" * 4)
    assert pixels(path).tolist() == [[255, 128]]


def test_where_white_is_0_a_tiff_is_inverted(tmp_path: Path) -> None:
    Image.fromarray(RAMP).save(tmp_path / "x.tif", tiffinfo={262: 0})
    assert np.array_equal(pixels(tmp_path / "x.tif"), np.rint((65535 - RAMP.astype(int)) / 257.0))


@pytest.mark.parametrize(
    ("mode", "said"), [("F", "floating-point numbers"), ("I", "32-bit whole numbers")]
)
def test_numbers_without_black_and_white_are_refused(tmp_path: Path, mode, said) -> None:
    path = tmp_path / "x.tif"
    Image.new(mode, (4, 4)).save(path)
    expected = (
        f"its pixels are {said}, and nothing says which are black and white: "
        "convert it to 8 or 16 bits"
    )
    assert reason(path) == expected
    with pytest.raises(PictureError, match="convert it to 8 or 16 bits"):
        look(path)
    with pytest.raises(DataError, match="convert it to 8 or 16 bits"):
        read_images([path], channels=1, resize=4)


@pytest.mark.parametrize(("mode", "kept"), [("1", "L"), ("CMYK", "RGB"), ("YCbCr", "RGB")])
def test_other_modes_are_converted_by_pil(tmp_path: Path, mode: str, kept: str) -> None:
    source = to_pil(noise(3, 9, 7)).convert(mode)
    source.save(tmp_path / "x.tif")
    assert np.array_equal(pixels(tmp_path / "x.tif"), np.asarray(source.convert(kept)))


def test_a_palette_counts_as_colour(tmp_path: Path) -> None:
    source = to_pil(noise(3, 9, 7)).convert("P")
    source.save(tmp_path / "x.png")
    assert np.array_equal(pixels(tmp_path / "x.png"), np.asarray(source.convert("RGB")))


@pytest.mark.parametrize("mode", ["LA", "RGBA", "P", "L"])
def test_transparent_parts_lie_on_white(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "x.png"
    if mode in ("LA", "RGBA"):  # black: not there, half there, there
        picture = Image.new(mode, (3, 1))
        colour = (0,) * (len(mode) - 1)
        for x, alpha in enumerate((0, 128, 255)):
            picture.putpixel((x, 0), (*colour, alpha))
        picture.save(path)
        expected = [255, 127, 0]
    else:
        picture = Image.new(mode, (3, 1))
        picture.putdata([1, 2, 2])
        if mode == "P":
            picture.putpalette([0, 0, 0, 9, 9, 9, 40, 40, 40])
        picture.save(path, transparency=1)
        expected = [255, 40, 40] if mode == "P" else [255, 2, 2]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = pixels(path)
    assert found.ndim == (2 if mode in ("LA", "L") else 3)
    assert found.reshape(3, -1)[:, 0].tolist() == expected


@pytest.mark.parametrize("mode", ["La", "RGBa"])
def test_premultiplied_alpha_lies_on_white_too(mode: str) -> None:
    straight = Image.new(f"{mode[:-1]}A", (3, 1))
    for x, alpha in enumerate((0, 255, 255)):
        straight.putpixel((x, 0), (*[80 * x] * (len(mode) - 1), alpha))
    found = np.asarray(plain(straight.convert(mode), "x")).reshape(3, -1)
    assert found[:, 0].tolist() == [255, 80, 160]


def test_the_first_of_several_pictures_is_read(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (6, 5), colour) for colour in ("red", "lime")]
    for name in ("x.gif", "x.webp", "x.tif", "x.png"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], lossless=True)
        assert pixels(tmp_path / name)[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "tif", "16.tif"])
def test_pictures_stand_upright(tmp_path: Path, kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"x.{kind}"
    source = Image.fromarray(RAMP) if kind == "16.tif" else to_pil(noise(3, 20, 48))
    source.save(path, exif=exif)
    with path.open("rb") as file:
        expected = np.asarray(ImageOps.exif_transpose(Image.open(file)))
    if kind == "16.tif":
        expected = np.rint(expected / 257.0)
    assert np.array_equal(pixels(path), expected)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_picture_with_damaged_exif_is_read_as_it_lies(tmp_path: Path, kind: str) -> None:
    source = to_pil(noise(3, 6, 9))
    exif = Image.Exif()
    exif[0x0112] = 6
    good = exif.tobytes()
    for number, damaged in enumerate((good[:11], good[:20], b"Exif\0\0II*\0\xff\xff\xff\xff")):
        path, sound = tmp_path / f"{number}", tmp_path / "sound"
        # With a resolution, a JPEG's EXIF is not read, nor its errors swallowed, when it is opened.
        source.save(path, kind, dpi=(72, 72), exif=damaged)
        source.save(sound, kind, dpi=(72, 72))
        assert np.array_equal(pixels(path), np.asarray(Image.open(sound)))


def test_exif_that_cannot_be_written_again_still_turns_the_picture(tmp_path: Path) -> None:
    # A width that is text: PIL reads it, and its `exif_transpose` fails to write it.
    entries = struct.pack("<HHII", 0x0100, 2, 3, 1) + struct.pack("<HHII", 0x0112, 3, 1, 6)
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + entries + b"\0" * 4
    source = to_pil(noise(3, 6, 9))
    source.save(tmp_path / "x.png", exif=exif)
    assert np.array_equal(pixels(tmp_path / "x.png"), np.rot90(np.asarray(source), -1))


def test_only_formats_that_pil_decodes_itself_are_opened(tmp_path: Path, monkeypatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("Ghostscript was called")

    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", never)
    path = tmp_path / "x.jpg"
    to_pil(noise(3, 6, 9)).save(path, "EPS")
    known = "it is no picture in BMP, GIF, JPEG, PNG, PPM, TIFF or WEBP, or damaged"
    assert reason(path) == known
    to_pil(noise(3, 6, 9)).save(path, "WEBP")  # the content counts, not the name
    assert read_picture(path).size == (9, 6)
    path.write_bytes(b"")
    assert reason(path) == known
    assert reason(tmp_path / "none.jpg") == "No such file or directory"


def large_png(width: int, height: int) -> bytes:
    """A PNG that claims to be large, and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 99))


@pytest.mark.parametrize("size", [(13_312, 13_312), (60_000, 60_000), (8193, 8192)])
def test_a_picture_that_claims_to_be_huge_is_not_decoded(tmp_path, size, monkeypatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("it was decoded")

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", never)
    path = tmp_path / "x.png"
    path.write_bytes(large_png(*size))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert reason(path).endswith("pixels, and at most 67,108,864 are read")


def test_an_error_in_the_program_is_not_taken_for_damage(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "x.png"
    to_pil(noise(3, 6, 9)).save(path)

    def broken(self: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        read_picture(path)


def test_sixteen_bit_classes_are_told_apart_as_eight_bit_ones(tmp_path: Path) -> None:
    for depth, scale in (("8", 1), ("16", 257)):
        for number, name in enumerate(("dark", "light")):
            (tmp_path / depth / name).mkdir(parents=True)
            for i in range(6):
                values = np.full((8, 8), 60 + 100 * number + i, np.uint8 if scale == 1 else "<u2")
                Image.fromarray(values * scale).save(tmp_path / depth / name / f"{i}.png")
    first, second = (open_dataset(f"image_folder:{tmp_path / depth}") for depth in ("8", "16"))
    assert first.channels == second.channels == 1
    images = [next(data.train.batches(99, device="cpu"))[0] for data in (first, second)]
    assert np.array_equal(*images)
