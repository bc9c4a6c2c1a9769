"""What a run sees of a file, against numpy's own conversion of the numbers that were written into it."""

import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps
from tiffs import write_tiff

from scaling.data.errors import DataError
from scaling.data.pixels.open_images import forget, open_images
from scaling.data.prepare import prepare

SIZE = 6
RNG = np.random.default_rng(0)


def _values(top: int, dtype: str, *more: int) -> np.ndarray:
    """Two pictures' numbers between 0 and `top`; the second one has both."""
    values = RNG.integers(0, top + 1, (2, SIZE, SIZE, *more))
    values[1].flat[:2] = (0, top)
    values[0] = np.minimum(values[0], top // 2)  # a dark picture, which must stay dark
    return values.astype(dtype)


def write_png16(path: Path, values: np.ndarray, colour_type: int) -> str:
    """A 16-bit PNG by hand: grey (0), RGB (2), grey with alpha (4) or RGBA (6), rows without a filter."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, colour_type, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    return str(path)


@pytest.fixture
def seen(make_cell: Callable, tmp_path: Path) -> Callable:
    """Writes two pictures into two classes (`save(path, values)`), and returns a run's pixels of both and its notes."""

    def see(values: np.ndarray, save: Callable, suffix: str, *words: str, channels: int = 3) -> tuple:
        for i in range(6):
            folder = tmp_path / "own" / "ab"[i % 2]
            folder.mkdir(parents=True, exist_ok=True)
            save(folder / f"{i}{suffix}", values[i % 2])
        shape = (f"data.image_size={SIZE}", f"data.channels={channels}", "data.train_size=2")
        config = make_cell("data=folder", f"data.root={tmp_path / 'own'}", "data.leaks=keep", *shape, *words).data
        forget()
        decoded = open_images(config)
        images = np.asarray(decoded.images)
        first = {int(label): row for row, label in reversed(list(enumerate(decoded.catalogue.labels)))}
        return np.stack([images[first[0]], images[first[1]]]), prepare([config])

    return see


def _grey(values: np.ndarray, white: float, inverted: bool = False) -> np.ndarray:
    share = np.clip(values.astype(np.float64) / white, 0, 1)
    return np.round(255 * (1 - share if inverted else share))


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize(
    ("top", "dtype"),
    [(255, "uint8"), (4095, "uint16"), (1000, "uint16"), (65_535, "uint16"), (200, "uint16"), (255, "int32"),
     (255, "uint32"), (5000, "int32"), (10**6, "uint32"), (30_000, "int16")],
)  # fmt: skip
def test_grey_integers_go_from_0_to_the_largest_value_of_the_folder(
    seen: Callable, top: int, dtype: str, big: bool, inverted: bool
) -> None:
    values = _values(top, dtype)
    pixels, notes = seen(values, lambda p, v: write_tiff(p, v, white_is_zero=inverted, big=big), ".tif")
    expected = _grey(values, max(top, 255), inverted)
    assert np.array_equal(pixels, np.repeat(expected[:, None], 3, axis=1))
    if top > 255:
        assert any(f"{top:,}, the largest value of all, is white" in note for note in notes)


def test_a_stated_white_is_used_for_all_and_other_whites_are_other_runs(seen: Callable, make_cell: Callable) -> None:
    values = _values(3000, "uint16")
    pixels, _ = seen(values, lambda p, v: write_png16(p, v, 0), ".png", "data.white=4095", channels=1)
    assert np.array_equal(pixels[:, 0], _grey(values, 4095))


@pytest.mark.parametrize(("colour_type", "samples"), [(2, 3), (6, 4), (4, 2)])
def test_sixteen_bits_of_colour_and_alpha_keep_their_lower_half(seen: Callable, colour_type: int, samples: int) -> None:
    """PIL alone keeps the upper byte: of 12 bits in 16 only 17 levels."""
    values = _values(4095, "uint16", samples)
    if samples != 3:
        values[..., -1] = RNG.integers(0, 65_536, values.shape[:-1])
    pixels, _ = seen(values, lambda p, v: write_png16(p, v, colour_type), ".png")
    top = values[..., : samples - (samples != 3)].max()
    colours = _grey(values[..., : samples - (samples != 3)], top)
    alpha = values[..., -1:] / 65_535 if samples != 3 else 1.0
    expected = np.broadcast_to(colours * alpha + 255 * (1 - alpha), (2, SIZE, SIZE, 3)).transpose(0, 3, 1, 2)
    assert np.abs(pixels - expected).max() <= (1 if samples != 3 else 0)


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("options", [None, dict(compression="tiff_deflate")])
def test_sixteen_bits_of_colour_in_a_tiff(seen: Callable, big: bool, options: dict | None) -> None:
    values = _values(1000, "uint16", 3)

    def save(path: Path, picture: np.ndarray) -> None:
        import tifffile

        if options is None:
            write_tiff(path, picture, big=big)
        else:
            tifffile.imwrite(path, picture, photometric="rgb", compression="zlib", byteorder=">" if big else "<")

    pixels, _ = seen(values, save, ".tif")
    assert np.array_equal(pixels, _grey(values, 1000).transpose(0, 3, 1, 2))


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize(("dtype", "white"), [("float32", 1.0), ("float64", 2.5), ("float16", 1.0)])
def test_floats_are_read_where_their_white_is_stated(seen: Callable, dtype: str, white: float, inverted: bool) -> None:
    values = RNG.uniform(0, 1.2 * white, (2, SIZE, SIZE)).astype(dtype)
    save = lambda p, v: write_tiff(p, v, white_is_zero=inverted)  # noqa: E731
    with pytest.raises(DataError, match=r"data\.white=1\.0 states it"):
        seen(values, save, ".tif")
    pixels, _ = seen(values, save, ".tif", f"data.white={white}", channels=1)
    assert np.array_equal(pixels[:, 0], _grey(values, white, inverted))


def test_what_is_white_is_the_same_in_training_and_test(make_cell: Callable, tmp_path: Path) -> None:
    for split, top in (("train", 1000), ("test", 4000)):
        for name in "ab":
            (tmp_path / "own" / split / name).mkdir(parents=True)
            for i in range(4):
                write_png16(tmp_path / "own" / split / name / f"{i}.png", np.full((SIZE, SIZE), top - i), 0)
    words = (f"data.root={tmp_path / 'own'}", f"data.image_size={SIZE}", "data.train_size=2", "data.leaks=keep")
    decoded = open_images(make_cell("data=folder", *words).data)
    assert set(np.asarray(decoded.images)[decoded.catalogue.rows("train")].ravel()) == {round(255 * 1000 / 4000)}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("where", ["exif", "xmp"])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_pictures_are_turned_as_exif_or_xmp_says(seen: Callable, orientation: int, where: str, suffix: str) -> None:
    values = np.zeros((2, SIZE, SIZE, 3), dtype=np.uint8)
    values[:, :3, :2] = 255
    xmp = f'<x:xmpmeta><rdf:Description tiff:Orientation="{orientation}"/></x:xmpmeta>'
    exif = Image.Exif()
    exif[0x0112] = orientation

    def save(path: Path, picture: np.ndarray) -> None:
        from PIL.PngImagePlugin import PngInfo

        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", xmp)
        for_xmp = dict(pnginfo=info) if suffix == ".png" else dict(xmp=xmp.encode())
        lossless = dict(lossless=True) if suffix == ".webp" else dict(quality=100) if suffix == ".jpg" else {}
        Image.fromarray(picture).save(path, **lossless, **(dict(exif=exif) if where == "exif" else for_xmp))

    pixels, _ = seen(values, save, suffix)
    exif_of = Image.fromarray(values[0])
    exif_of.getexif()[0x0112] = orientation
    expected = np.asarray(ImageOps.exif_transpose(exif_of)).transpose(2, 0, 1)
    assert np.abs(pixels.astype(int) - expected).max() <= (90 if suffix == ".jpg" else 0)
    assert np.array_equal(pixels > 127, np.stack([expected] * 2) > 127)


def test_palettes_and_transparency_survive(seen: Callable) -> None:
    colours = np.array([[10, 20, 30], [200, 100, 50]])
    picked = RNG.integers(0, 2, (2, SIZE, SIZE)).astype(np.uint8)

    def save(path: Path, picture: np.ndarray) -> None:
        palette = Image.fromarray(picture, mode="P")
        palette.putpalette(colours.astype(np.uint8).tobytes())
        palette.save(path, transparency=0)

    pixels, _ = seen(picked, save, ".png")
    assert np.array_equal(pixels, np.array([[255] * 3, colours[1]])[picked].transpose(0, 3, 1, 2))


def test_a_crop_that_loses_much_is_told_and_can_be_another(seen: Callable) -> None:
    values = np.full((2, 20, 80, 3), 200, dtype=np.uint8)
    values[:, :, :8] = 0
    save = lambda p, v: Image.fromarray(v).save(p)  # noqa: E731
    pixels, notes = seen(values, save, ".png")
    assert pixels.min() == 200
    (told,) = [note for note in notes if "square crop" in note]
    assert "cuts off 75% of the median picture; data.fit=pad" in told
    padded, notes = seen(values, save, ".png", "data.fit=pad")
    assert padded[0, 0, 0].tolist() == [0] * SIZE
    assert padded[0, 0, SIZE // 2, -1] == 200
    assert not [note for note in notes if "square crop" in note]
    stretched, _ = seen(values, save, ".png", "data.fit=stretch")
    assert (stretched[0, 0, :, -1] == 200).all()
    assert (stretched[0, 0, :, 0] < 100).all()


def test_the_small_cases(make_cell: Callable, shared_data: Path, tmp_path: Path) -> None:
    from scaling.data.pixels.decode import decode, see
    from scaling.data.pixels.square import Square

    cases = shared_data / "cases" / "images"
    square = Square(8, 1)
    raw = np.asarray(Image.open(cases / "i32small.tif"))
    assert np.array_equal(decode(str(cases / "i32small.tif"), square)[0], raw)
    for name in ("g12in16.png", "depth1000.png"):
        levels = np.asarray(Image.open(cases / name)).astype(int)
        found = see(str(cases / name), square).top
        pixels = decode(str(cases / name), Square(8, 1, found=((16, float(found)),)))[0]
        assert np.array_equal(pixels, np.round(255 * levels / levels.max()))
    inverted = np.asarray(Image.open(cases / "u16_white0.tif")).astype(float)
    assert np.array_equal(decode(str(cases / "u16_white0.tif"), Square(16, 1))[0], np.round(255 - inverted / 257))
    turned = ImageOps.exif_transpose(Image.open(cases / "xmp6.jpg"))
    assert turned.size == (43, 61)
    assert see(str(cases / "xmp6.jpg"), square).picture.tobytes() == turned.tobytes()


def test_the_small_cases_that_are_told(shared_data: Path, tmp_path: Path) -> None:
    from scaling.config.data_words import data_config
    from scaling.data.look import look_at

    cases, root, rng = shared_data / "cases" / "images", tmp_path / "own", np.random.default_rng(0)
    for name in ("cat", "dog"):
        (root / name).mkdir(parents=True)
        for i in range(5):  # as wide as wide.png is
            Image.fromarray(rng.integers(0, 256, (8, 32, 3), np.uint8)).save(root / name / f"{i}.png")
    shutil.copy(cases / "wide.png", root / "cat")
    told = look_at(data_config({"data.root": str(root)})).notes
    assert [note for note in told if "cuts off 75% of the median picture; data.fit=pad" in note]
    shutil.copy(cases / "extraneous.jpg", root / "dog")
    forget()
    with pytest.raises(DataError, match=rf"{root}/dog/extraneous\.jpg \(damaged: .*data\.skip_unreadable=true"):
        look_at(data_config({"data.root": str(root)}))
    found = look_at(data_config({"data.root": str(root), "data.skip_unreadable": "true"}))
    assert len(found.decoded.unreadable) == 1
    assert sum(map(len, (found.parts.train, found.parts.val, found.parts.test))) == 11
