from __future__ import annotations

import errno
import io
import os
import sys
import types
import warnings
from pathlib import Path

import numpy as np
import pytest
from corpus import BROKEN_PICTURES, HEIC_HEAD, PHOTO, write_broken, write_photo
from fakes import unprivileged
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from ovss_personal.errors import ImageError, InputError, OvssWarning
from ovss_personal.io.images import as_image, exif_orientation, find_images, load_image
from ovss_personal.pixels.images import at_most, to_rgb, upright

in_one_folder = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".tiff", ".webp"])
def test_orientation_is_as_pillow_has_it(tmp_path: Path, orientation: int, suffix: str) -> None:
    options = {"lossless": True} if suffix == ".webp" else {}
    path = write_photo(tmp_path / f"a{suffix}", orientation=orientation, **options)
    stored = Image.fromarray(PHOTO)
    stored.getexif()[0x0112] = orientation
    shown = np.asarray(ImageOps.exif_transpose(stored))
    assert exif_orientation(path) == orientation
    np.testing.assert_array_equal(load_image(path), shown)
    np.testing.assert_array_equal(upright(PHOTO, orientation), shown)


def test_a_turned_jpeg_changes_sides(tmp_path: Path) -> None:
    assert load_image(write_photo(tmp_path / "a.jpg", orientation=6)).shape == (40, 24, 3)
    assert load_image(write_photo(tmp_path / "b.jpg", orientation=3)).shape == (24, 40, 3)


@pytest.mark.parametrize("orientation", [0, 9, 77])
def test_a_senseless_orientation_is_none(tmp_path: Path, orientation: int) -> None:
    path = write_photo(tmp_path / "a.png", orientation=orientation)
    assert exif_orientation(path) == 1
    np.testing.assert_array_equal(load_image(path), PHOTO)


def test_damaged_exif_does_not_hide_the_photo(tmp_path: Path) -> None:
    Image.fromarray(PHOTO).save(tmp_path / "a.png", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff")
    np.testing.assert_array_equal(load_image(tmp_path / "a.png"), PHOTO)


GREY = PHOTO[:, :, 0]
GREY_RGB = np.repeat(GREY[:, :, None], 3, axis=2)


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        (Image.fromarray(GREY), GREY_RGB),
        (Image.fromarray(PHOTO), PHOTO),
        (Image.fromarray(GREY.astype(np.uint16) * 257), GREY_RGB),
        (Image.fromarray(GREY.astype(np.int32) * 257), GREY_RGB),
        (Image.fromarray(GREY.astype(np.int32)), GREY_RGB),
        (Image.fromarray(GREY.astype(np.float32)), GREY_RGB),
        (Image.fromarray(GREY.astype(np.float32) / 255), GREY_RGB),
        (Image.fromarray(GREY > 99).convert("1"), np.where(GREY_RGB > 99, 255, 0)),
        (Image.new("CMYK", (40, 24), (0, 0, 0, 0)), np.full((24, 40, 3), 255)),
        (Image.new("CMYK", (40, 24), (0, 255, 255, 0)), np.full((24, 40, 3), [255, 0, 0])),
        (Image.new("RGBA", (40, 24), (0, 0, 0, 0)), np.full((24, 40, 3), 255)),
        (Image.new("RGBA", (40, 24), (255, 0, 0, 255)), np.full((24, 40, 3), [255, 0, 0])),
        (Image.new("RGBA", (40, 24), (0, 0, 0, 51)), np.full((24, 40, 3), 204)),
        (Image.new("LA", (40, 24), (0, 0)), np.full((24, 40, 3), 255)),
    ],
    ids=lambda value: value.mode if isinstance(value, Image.Image) else "",
)
def test_every_mode_becomes_rgb(picture: Image.Image, expected: np.ndarray) -> None:
    rgb = to_rgb(picture)
    assert rgb.dtype == np.uint8
    assert rgb.flags.c_contiguous
    np.testing.assert_array_equal(rgb, expected)


def test_palette_and_its_transparent_colour(tmp_path: Path) -> None:
    indices = np.zeros((24, 40), np.uint8)
    indices[0] = 1
    picture = Image.fromarray(indices)
    picture.putpalette([10, 20, 30, 200, 100, 0])
    assert to_rgb(picture)[:2, 0].tolist() == [[200, 100, 0], [10, 20, 30]]
    picture.save(tmp_path / "a.png", transparency=0)
    assert load_image(tmp_path / "a.png")[:2, 0].tolist() == [[200, 100, 0], [255, 255, 255]]


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path, suffix: str) -> None:
    deep = np.full((24, 40), 300, np.uint16)
    deep[:, 20:] = 40_000
    Image.fromarray(deep).save(tmp_path / f"a{suffix}")
    image = load_image(tmp_path / f"a{suffix}")
    assert image[0, 0].tolist() == [1, 1, 1]
    assert image[0, 39].tolist() == [156, 156, 156]


def test_a_nan_picture_is_an_error() -> None:
    with pytest.raises(ImageError, match="NaN"):
        to_rgb(Image.fromarray(np.full((24, 40), np.nan, np.float32)))


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp", ".tiff"])
def test_animations_give_their_first_frame(tmp_path: Path, suffix: str) -> None:
    frames = [Image.new("RGB", (40, 24), colour) for colour in ("black", "white")]
    frames[0].save(tmp_path / f"a{suffix}", save_all=True, append_images=frames[1:])
    with pytest.warns(OvssWarning, match=f"a{suffix}: only the first frame"):
        image = load_image(tmp_path / f"a{suffix}")
    assert image.max() == 0


def test_a_phones_second_view_is_no_animation(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (40, 24), colour) for colour in ("black", "white")]
    frames[0].save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=frames[1:])
    with Image.open(tmp_path / "a.jpg") as written:
        assert written.format == "MPO"
    assert load_image(tmp_path / "a.jpg").max() == 0


@pytest.mark.parametrize("name", BROKEN_PICTURES)
def test_broken_pictures_are_one_line(tmp_path: Path, name: str) -> None:
    path = write_broken(tmp_path, name)
    with pytest.raises(ImageError, match=BROKEN_PICTURES[name][1]) as caught:
        load_image(path)
    assert caught.value.path == str(path)
    assert "\n" not in str(caught.value)
    assert caught.value.hint


def test_pillow_heif_is_used_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    plugin = types.ModuleType("pillow_heif")
    plugin.register_heif_opener = lambda: calls.append("registered")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pillow_heif", plugin)
    (tmp_path / "a.heic").write_bytes(HEIC_HEAD)
    with pytest.raises(ImageError):
        load_image(tmp_path / "a.heic")
    assert calls == ["registered"]


def test_the_limit_on_pixels_is_the_callers(tmp_path: Path) -> None:
    path = write_photo(tmp_path / "a.png")
    assert load_image(path, max_pixels=960).shape == (24, 40, 3)
    with pytest.raises(ImageError, match=r"40x24 pixels .* over 0.000959 million"):
        load_image(path, max_pixels=959)


@pytest.mark.parametrize(
    ("width", "height", "message"),
    [(40, 15, "at least 16"), (15, 40, "at least 16"), (801, 16, "50 times"), (16, 801, "50 times")],
)
def test_too_small_or_too_long(tmp_path: Path, width: int, height: int, message: str) -> None:
    Image.new("RGB", (width, height)).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match=f"{width}x{height} pixels.*{message}"):
        load_image(tmp_path / "a.png")


def test_the_smallest_and_the_longest_that_pass() -> None:
    assert to_rgb(Image.new("RGB", (16, 16))).shape == (16, 16, 3)
    assert to_rgb(Image.new("RGB", (800, 16))).shape == (16, 800, 3)


def test_missing_and_folder(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no such file"):
        load_image(tmp_path / "a.jpg")
    with pytest.raises(ImageError, match="found a folder"):
        load_image(tmp_path)


def test_as_image_takes_paths_pictures_and_arrays(tmp_path: Path) -> None:
    path = write_photo(tmp_path / "a.png")
    for source in (path, str(path), Image.fromarray(PHOTO), PHOTO):
        np.testing.assert_array_equal(as_image(source), PHOTO)
    np.testing.assert_array_equal(as_image(GREY), GREY_RGB)
    clear = np.concatenate([PHOTO, np.zeros_like(PHOTO[:, :, :1])], axis=2)
    assert as_image(clear).min() == 255


def test_as_image_copies() -> None:
    assert not np.shares_memory(as_image(PHOTO), PHOTO)


def test_as_image_turns_an_opened_picture_upright(tmp_path: Path) -> None:
    with Image.open(write_photo(tmp_path / "a.jpg", orientation=6)) as picture:
        assert as_image(picture).shape == (40, 24, 3)


@pytest.mark.parametrize(
    "array",
    [
        PHOTO.astype(np.float32) / 255,
        PHOTO.astype(np.uint16),
        PHOTO[None],
        PHOTO.transpose(2, 0, 1),
        PHOTO[:, :, :2],
        PHOTO[0, 0],
        PHOTO[:0],
        PHOTO[:15],
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_as_image_refuses_other_arrays(array: np.ndarray) -> None:
    with pytest.raises(ImageError):
        as_image(array)


def test_as_image_refuses_other_things() -> None:
    with pytest.raises(ImageError, match="found int"):
        as_image(7)  # type: ignore[arg-type]


def test_a_truncated_open_picture_is_an_image_error() -> None:
    stream = io.BytesIO()
    Image.fromarray(PHOTO).save(stream, "JPEG")
    with pytest.raises(ImageError, match="truncated"):
        as_image(Image.open(io.BytesIO(stream.getvalue()[:-60])))


def test_find_images(tmp_path: Path) -> None:
    for name in ("b.jpg", "A.JPG", "c.txt", ".hidden.jpg", "._b.jpg", "Thumbs.db", "sub/d.jpg", "odd.dat"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "again.jpg").symlink_to(tmp_path / "b.jpg")
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")

    def found(*paths: str) -> list[str]:
        images = find_images([tmp_path / path for path in paths])
        return [image.relative_to(tmp_path).as_posix() for image in images]

    assert found(".") == ["A.JPG", "again.jpg"]
    assert found("b.jpg", ".") == ["A.JPG", "b.jpg"]
    assert found("sub", "b.jpg", "b.jpg") == ["b.jpg", "sub/d.jpg"]
    assert found("*.jpg", "odd.dat") == ["again.jpg", "odd.dat"]
    assert found("**/*.jpg") == ["again.jpg", "sub/d.jpg"]


def test_find_images_takes_a_name_with_brackets(tmp_path: Path) -> None:
    (tmp_path / "mug [1].jpg").write_text("x")
    assert find_images([tmp_path / "mug [1].jpg"]) == [tmp_path / "mug [1].jpg"]


@pytest.mark.parametrize("pattern", ["*.png", "absent.jpg", "empty", "?"])
def test_find_images_names_what_found_nothing(tmp_path: Path, pattern: str) -> None:
    (tmp_path / "a.jpg").write_text("x")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError) as caught:
        find_images([tmp_path / "a.jpg", tmp_path / pattern])
    assert caught.value.path == str(tmp_path / pattern)


@given(
    st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a", b"RIFF", b"II*\0", b"BM"]),
    st.binary(),
)
@in_one_folder
def test_random_bytes_are_image_errors(tmp_path: Path, magic: bytes, data: bytes) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(magic + data)
    with pytest.raises(ImageError):
        load_image(path)


def _encoded(kind: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(PHOTO).save(stream, kind)
    return stream.getvalue()


WHOLE = {kind: _encoded(kind) for kind in ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP")}


@given(st.sampled_from(sorted(WHOLE)), st.floats(0, 1, exclude_max=True))
@settings(in_one_folder, max_examples=200)
def test_truncated_pictures_fail_or_lose_nothing(tmp_path: Path, kind: str, share: float) -> None:
    path = tmp_path / "a"
    path.write_bytes(WHOLE[kind])
    whole = load_image(path)
    path.write_bytes(WHOLE[kind][: int(len(WHOLE[kind]) * share)])
    try:
        image = load_image(path)
    except ImageError:
        return
    np.testing.assert_array_equal(image, whole)


@given(st.sampled_from(sorted(WHOLE)), st.data())
@settings(in_one_folder, max_examples=200)
def test_flipped_bytes_never_raise_anything_else(tmp_path: Path, kind: str, data: st.DataObject) -> None:
    content = bytearray(WHOLE[kind])
    for position in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=4)):
        content[position] = data.draw(st.integers(0, 255))
    (tmp_path / "a").write_bytes(content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", OvssWarning)  # a frame count may be among the flipped
            image = load_image(tmp_path / "a")
    except ImageError:
        return
    assert image.dtype == np.uint8
    assert image.ndim == 3


def test_a_photo_that_may_not_be_read_is_not_broken(tmp_path: Path) -> None:
    path = write_photo(tmp_path / "1.jpg")
    path.chmod(0)
    with unprivileged(), pytest.raises(ImageError, match="cannot be read: Permission denied") as caught:
        load_image(path)
    assert caught.value.hint == "Check its permissions, and the disk that it is on."
    path.chmod(0o600)
    assert load_image(path).shape == PHOTO.shape


def test_a_disk_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("PIL.Image.open", fail)
    with pytest.raises(ImageError, match="cannot be read: Input/output error"):
        load_image(write_photo(tmp_path / "1.jpg"))


@pytest.mark.parametrize("name", ["a" * 300, "a" * 300 + "/*.jpg"])
def test_a_path_that_no_file_can_have(name: str) -> None:
    with pytest.raises(InputError, match=r"File name too long|no photo found"):
        find_images([name])


def test_a_folder_that_may_not_be_listed(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    write_photo(folder / "1.jpg")
    folder.chmod(0)
    with unprivileged(), pytest.raises(InputError, match="Permission denied"):
        find_images([folder])
    folder.chmod(0o700)


def test_more_pixels_than_are_worked_on_are_scaled_down_with_the_mask() -> None:
    image = np.zeros((60, 100, 3), np.uint8)
    image[:, 50:] = 200
    assert at_most(image, pixels=6000) is image
    small, mask = at_most(image, pixels=1500), at_most(image[:, :, 0] > 100, pixels=1500)
    assert small.shape == (30, 50, 3) and mask.shape == (30, 50) and mask.dtype == bool
    assert (small[:, 25:] == 200).all() and not small[:, :25].any()
    assert np.array_equal(mask, small[:, :, 0] > 100)
    assert at_most(np.zeros((16, 800, 3), np.uint8), pixels=799).size <= 3 * 799
