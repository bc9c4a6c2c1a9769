"""One image file of every kind, against values worked out by hand or by numpy."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scaling.data.errors import UnreadableImage
from scaling.data.pixels.decode import decode, decode_array
from scaling.data.pixels.square import Square


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., str]:
    def save(picture: Image.Image, name: str = "x.png", **options: object) -> str:
        picture.save(tmp_path / name, **options)
        return str(tmp_path / name)

    return save


def _read(path: str, size: int = 4, channels: int = 3) -> np.ndarray:
    return decode(path, Square(size, channels))


RGB = np.random.default_rng(0).integers(0, 256, (4, 4, 3), dtype=np.uint8)


def test_rgb_comes_as_it_is(saved: Callable) -> None:
    assert np.array_equal(_read(saved(Image.fromarray(RGB))), RGB.transpose(2, 0, 1))


def test_grey_becomes_three_equal_channels(saved: Callable) -> None:
    pixels = _read(saved(Image.fromarray(RGB[:, :, 0])))
    assert np.array_equal(pixels, np.stack([RGB[:, :, 0]] * 3))


def test_rgb_becomes_grey_by_its_luma(saved: Callable) -> None:
    """ITU-R 601: .299 R + .587 G + .114 B."""
    pixels = _read(saved(Image.fromarray(RGB)), channels=1)
    assert pixels.shape == (1, 4, 4)
    assert np.abs(pixels[0] - RGB @ [0.299, 0.587, 0.114]).max() <= 1


def test_transparency_is_laid_on_white(saved: Callable) -> None:
    """c alpha + 255 (1 - alpha), so that what is fully transparent is white whatever its hidden colour."""
    alpha = np.array([[0, 64, 128, 255]] * 4, dtype=np.uint8)
    pixels = _read(saved(Image.fromarray(np.dstack([RGB, alpha]))))
    share = alpha[..., None] / 255
    assert np.abs(pixels.transpose(1, 2, 0) - (RGB * share + 255 * (1 - share))).max() <= 1
    assert (pixels[:, :, 0] == 255).all()


def test_grey_with_alpha_and_colour_keys_are_transparent_too(saved: Callable) -> None:
    grey = np.full((4, 4), 10, dtype=np.uint8)
    both = np.dstack([grey, np.array([[0, 255] * 2] * 4, dtype=np.uint8)])
    assert _read(saved(Image.fromarray(both)))[0, 0].tolist() == [255, 10, 255, 10]
    keyed = Image.fromarray(np.array([[7, 9] * 2] * 4, dtype=np.uint8))
    assert _read(saved(keyed, "key.png", transparency=7))[0, 0].tolist() == [255, 9, 255, 9]


def test_palettes_are_looked_up(saved: Callable) -> None:
    palette = Image.fromarray(np.array([[0, 1] * 2] * 4, dtype=np.uint8), mode="P")
    palette.putpalette([10, 20, 30, 200, 100, 50])
    for name in ("p.png", "p.gif"):
        pixels = _read(saved(palette, name))
        assert pixels[:, 0, 0].tolist() == [10, 20, 30]
        assert pixels[:, 0, 1].tolist() == [200, 100, 50]
    assert _read(saved(palette, "t.png", transparency=0))[:, 0, 0].tolist() == [255, 255, 255]


def test_one_bit_is_black_and_white(saved: Callable) -> None:
    bits = Image.fromarray(np.array([[0, 255] * 2] * 4, dtype=np.uint8)).convert("1")
    assert _read(saved(bits))[0, 0].tolist() == [0, 255, 0, 255]


@pytest.mark.parametrize("name", ["x.png", "x.tif", "x.pgm"])
@pytest.mark.parametrize("channels", [1, 3])
def test_16_bits_are_scaled_and_not_cut_off(saved: Callable, name: str, channels: int) -> None:
    """v / 257, so that 65,535 becomes 255; PIL's own conversion would make everything above 255 white."""
    values = np.array([[0, 257, 32_896, 65_535]] * 4, dtype=np.uint16)
    pixels = _read(saved(Image.fromarray(values), name), channels=channels)
    assert pixels[0, 0].tolist() == [0, 1, 128, 255]


def test_16_bits_in_the_other_byte_order(saved: Callable, tmp_path: Path) -> None:
    values = np.array([[0, 257, 32_896, 65_535]] * 4, dtype=">u2")
    picture = Image.frombytes("I;16B", (4, 4), values.tobytes())
    assert _read(saved(picture, "big.tif"))[0, 0].tolist() == [0, 1, 128, 255]


def test_cmyk_is_turned_into_rgb(saved: Callable) -> None:
    """(255 - C)(255 - K) / 255 and alike."""
    cmyk = np.random.default_rng(1).integers(0, 256, (4, 4, 4), dtype=np.uint8)
    pixels = _read(saved(Image.fromarray(cmyk, mode="CMYK"), "x.tif"))
    expected = (255.0 - cmyk[..., :3]) * (255.0 - cmyk[..., 3:]) / 255
    assert np.abs(pixels.transpose(1, 2, 0) - expected).max() <= 1
    flat = Image.new("CMYK", (4, 4), (0, 128, 255, 51))
    jpeg = _read(saved(flat, "x.jpg", quality=100))
    assert np.abs(jpeg[:, 0, 0] - [204, 102, 0]).max() <= 3
    assert _read(saved(flat, "x.jpg"), channels=1).shape == (1, 4, 4)


@pytest.mark.parametrize(("orientation", "turned"), [(1, lambda a: a), (3, lambda a: np.rot90(a, 2)),
                                                     (6, lambda a: np.rot90(a, -1)), (8, np.rot90),
                                                     (2, np.fliplr)])  # fmt: skip
def test_pictures_are_turned_upright(saved: Callable, orientation: int, turned: Callable) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    for name, picture in (("x.png", Image.fromarray(RGB)), ("x.tif", Image.fromarray(RGB[:, :, 0] * np.uint16(257)))):
        expected = turned(np.asarray(picture if picture.mode == "RGB" else Image.fromarray(RGB[:, :, 0])))
        pixels = _read(saved(picture, name, exif=exif))
        assert np.array_equal(pixels if picture.mode == "RGB" else pixels[0], expected.transpose(2, 0, 1) if
                              picture.mode == "RGB" else expected)  # fmt: skip


@pytest.mark.parametrize("shape", [(40, 16), (16, 40), (7, 5), (1, 1), (9, 200), (300, 10)])
def test_other_sizes_are_resized_and_cut_like_torchvisions(saved: Callable, shape: tuple[int, int]) -> None:
    from torchvision.transforms import v2

    picture = Image.fromarray(np.random.default_rng(2).integers(0, 256, (*shape, 3), dtype=np.uint8))
    expected = v2.Compose([v2.Resize(8, antialias=True), v2.CenterCrop(8)])(picture)
    assert np.abs(_read(saved(picture), size=8).astype(int) - np.asarray(expected).transpose(2, 0, 1)).max() <= 1


def test_a_long_ribbon_takes_no_more_memory_than_its_middle(saved: Callable) -> None:
    stripe = np.zeros((2, 60_000), dtype=np.uint8)
    stripe[:, 29_990:30_010] = 200
    assert _read(saved(Image.fromarray(stripe)), size=224, channels=1).min() == 200


def test_of_an_animation_the_first_frame_is_taken(saved: Callable) -> None:
    frames = [Image.new("RGB", (4, 4), (level, level, level)) for level in (255, 0)]
    assert _read(saved(frames[0], "x.gif", save_all=True, append_images=frames[1:])).min() == 255


def _broken(kind: str, saved: Callable, tmp_path: Path) -> str:
    big = Image.fromarray(np.random.default_rng(3).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    path = Path(saved(big, f"{kind}.{'png' if 'png' in kind else 'jpg'}"))
    content = path.read_bytes()
    if kind.startswith("cut"):
        path.write_bytes(content[: len(content) // 2])
    elif kind == "text":
        path.write_text("<html>404</html>")
    elif kind == "nothing":
        path.write_bytes(b"")
    elif kind == "gone":
        path.unlink()
        path.symlink_to(tmp_path / "nowhere.jpg")
    return str(path)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("cut", "truncated"),
        ("cut_png", r"\w"),
        ("text", "not an image"),
        ("nothing", "an empty file"),
        ("gone", "not there"),
    ],
)
def test_what_is_no_image_is_refused_with_its_reason(saved: Callable, tmp_path: Path, kind: str, reason: str) -> None:
    with pytest.raises(UnreadableImage, match=reason) as error:
        _read(_broken(kind, saved, tmp_path))
    assert "\n" not in str(error.value)


SMOOTH = np.asarray(Image.fromarray(RGB).resize((93, 61), Image.Resampling.BICUBIC))
JPEGS = [
    dict(), dict(subsampling=0), dict(subsampling=1), dict(subsampling="4:1:1"), dict(progressive=True),
    dict(restart_marker_rows=1), dict(quality=30),
]  # fmt: skip


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_jpeg_has_pils_pixels(saved: Callable, mode: str) -> None:
    """Grey and RGB JPEGs are decoded by libjpeg-turbo itself; PIL's own decoder is what they are held against."""
    exif = Image.Exif()
    exif[0x0112] = 6
    for options in JPEGS:
        kept = options if mode == "RGB" else {key: value for key, value in options.items() if key != "subsampling"}
        path = saved(Image.fromarray(SMOOTH).convert(mode).crop((0, 0, 61, 61)), "x.jpg", exif=exif, **kept)
        with Image.open(path) as picture:
            expected = np.rot90(np.asarray(picture.convert("RGB")), -1)
        assert np.array_equal(_read(path, size=61).transpose(1, 2, 0), expected), options


@pytest.mark.parametrize("options", [dict(), dict(progressive=True), dict(restart_marker_rows=1)])
@pytest.mark.parametrize("damage", ["zeroed", "lost"])
def test_jpeg_data_that_are_damaged_in_the_middle_are_refused(saved: Callable, options: dict, damage: str) -> None:
    """A block of zeros, as of a disk, or bytes that are gone, as of a broken copy: PIL decodes both without a word."""
    path = Path(saved(Image.fromarray(SMOOTH).resize((256, 256)), "x.jpg", quality=90, **options))
    content = bytearray(path.read_bytes())
    middle = slice(len(content) // 2, len(content) // 2 + 200)
    content[middle] = bytes(200) if damage == "zeroed" else b""
    path.write_bytes(content)
    with Image.open(path) as picture:
        picture.load()
    with pytest.raises(UnreadableImage, match="damaged: "):
        _read(str(path))


def test_a_decompression_bomb_is_refused_and_a_large_image_is_not(
    saved: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(Image.new("1", (400, 400)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100_000)  # 160,000 pixels are above it, which only warns
    assert _read(path).shape == (3, 4, 4)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 70_000)
    with pytest.raises(UnreadableImage, match="more than 140,000 pixels"):
        _read(path)


def test_numbers_without_a_known_white_are_refused(saved: Callable) -> None:
    for values, lacking in ((np.ones((4, 4), np.float32), "white"), (np.full((4, 4), -1, np.int32), "black")):
        with pytest.raises(UnreadableImage, match=f"no known {lacking}"):
            _read(saved(Image.fromarray(values), "x.tif"))
    with pytest.raises(UnreadableImage, match="not numbers"):
        decode(saved(Image.fromarray(np.full((4, 4), np.nan, np.float32)), "x.tif"), Square(4, 3, white=1.0))


def test_arrays_take_the_same_way_as_files(saved: Callable) -> None:
    stack = np.random.default_rng(4).integers(0, 256, (3, 10, 10, 3), dtype=np.uint8)
    for size, channels in ((10, 3), (10, 1), (6, 3)):
        files = np.stack([_read(saved(Image.fromarray(image)), size, channels) for image in stack])
        assert np.array_equal(decode_array(stack, Square(size, channels))[0], files)
    grey = stack[..., 0]
    assert np.array_equal(decode_array(grey, Square(10, 1))[0], grey[:, None])
    assert decode_array(grey, Square(10, 3))[0].shape == (3, 3, 10, 10)
