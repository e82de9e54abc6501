from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from corpus import BROKEN_PICTURES, MASK, write_array, write_broken, write_mask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image

from ovss_personal.errors import InputError, MaskError, OvssWarning, UsageError
from ovss_personal.io.mask_checks import check_mask
from ovss_personal.io.masks import load_mask
from ovss_personal.pixels.images import upright

SIZE = (24, 40)
MODES = ["1", "L1", "L255", "P", "I;16", "RGB", "RGBA", "RGBA-opaque", "LA"]
in_one_folder = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])


def labelled(*values: int, dtype: type = np.uint8) -> np.ndarray:
    """(24, 40): stripes of 8 columns with these values."""
    return np.repeat(np.resize(np.array(values, dtype), 5)[None], 24, axis=0).repeat(8, axis=1)


@pytest.mark.parametrize("mode", MODES)
def test_every_png_mode(tmp_path: Path, mode: str) -> None:
    mask, ignore = load_mask(write_mask(tmp_path / "a.png", mode=mode), size=SIZE)
    np.testing.assert_array_equal(mask, MASK)
    assert mask.dtype == np.bool_
    assert ignore is None


@pytest.mark.parametrize("suffix", [".tiff", ".bmp", ".gif", ".webp"])
def test_other_lossless_formats(tmp_path: Path, suffix: str) -> None:
    options = {"lossless": True} if suffix == ".webp" else {}
    Image.fromarray(MASK.astype(np.uint8) * 255).save(tmp_path / f"a{suffix}", **options)
    np.testing.assert_array_equal(load_mask(tmp_path / f"a{suffix}", size=SIZE).mask, MASK)


def test_tiff_of_32_bits(tmp_path: Path) -> None:
    np.testing.assert_array_equal(load_mask(write_mask(tmp_path / "a.tiff", mode="I"), size=SIZE).mask, MASK)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.uint16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(24, 40), (1, 24, 40), (24, 40, 1)])
def test_every_array(tmp_path: Path, dtype: type, shape: tuple[int, ...]) -> None:
    path = write_array(tmp_path / "a.npy", MASK.astype(dtype).reshape(shape))
    np.testing.assert_array_equal(load_mask(path, size=SIZE).mask, MASK)


def test_a_fortran_ordered_array(tmp_path: Path) -> None:
    path = write_array(tmp_path / "a.npy", np.asfortranarray(MASK))
    np.testing.assert_array_equal(load_mask(path, size=SIZE).mask, MASK)


def test_a_soft_array_is_halved_with_a_warning(tmp_path: Path) -> None:
    path = write_array(tmp_path / "a.npy", np.where(MASK, 0.51, 0.5))
    with pytest.warns(OvssWarning, match=r"over 0\.5"):
        np.testing.assert_array_equal(load_mask(path, size=SIZE).mask, MASK)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.full(SIZE, np.nan), "NaN"),
        (np.full(SIZE, np.inf), "infinite"),
        (np.full(SIZE, 1.5), "from 1.5 to 1.5"),
        (np.full(SIZE, -0.5), "from -0.5"),
        (np.full(SIZE, 1e300), "from 1e"),
        (np.zeros((3, 24, 40)), r"found \(3, 24, 40\)"),
        (np.zeros(40), r"found \(40,\)"),
        (np.zeros((2, 2, 2, 2)), r"found \(2, 2, 2, 2\)"),
        (np.array(1), r"found \(\)"),
        (np.zeros(SIZE, complex), "found complex128"),
        (np.full(SIZE, "a"), "found <U1"),
    ],
)
def test_arrays_that_are_no_mask(tmp_path: Path, array: np.ndarray, message: str) -> None:
    with pytest.raises(MaskError, match=message):
        load_mask(write_array(tmp_path / "a.npy", array), size=SIZE)


class Bomb:
    def __reduce__(self) -> tuple[object, ...]:
        return pytest.fail, ("a pickle was run",)


def test_a_pickle_in_an_array_is_never_run(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([Bomb()], dtype=object), allow_pickle=True)
    (tmp_path / "b.npy").write_bytes(pickle.dumps(Bomb()))
    for name in ("a.npy", "b.npy"):
        with pytest.raises(MaskError, match=r"not a readable \.npy array"):
            load_mask(tmp_path / name, size=SIZE)


def test_an_array_smaller_than_it_says(tmp_path: Path) -> None:
    header = b"{'descr': '|b1', 'fortran_order': False, 'shape': (100000, 1000000), }\n"
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\0" + len(header).to_bytes(2, "little") + header)
    with pytest.raises(MaskError, match=r"not a readable \.npy array"):
        load_mask(tmp_path / "a.npy", size=SIZE)


def test_several_arrays_in_one_file(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", MASK)
    (tmp_path / "a.npz").rename(tmp_path / "a.npy")
    with pytest.raises(MaskError, match=r"not a readable \.npy array"):
        load_mask(tmp_path / "a.npy", size=SIZE)


def write_palette(path: Path, indices: np.ndarray) -> Path:
    """The colours are such that `convert("L")` would give 38 and 75, as in VOC."""
    picture = Image.fromarray(indices)
    picture.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    picture.save(path)
    return path


def test_palette_goes_by_index(tmp_path: Path) -> None:
    path = write_palette(tmp_path / "a.png", labelled(0, 1, 2))
    with pytest.raises(MaskError, match=r"several labels: 0 \(40\.0%\), 1 \(40\.0%\), 2 \(20\.0%\); which") as caught:
        load_mask(path, size=SIZE)
    assert "--label" in str(caught.value.hint)
    assert load_mask(path, size=SIZE, label=2).mask[0].nonzero()[0].tolist() == list(range(16, 24))
    with pytest.raises(MaskError, match=r"label 38 is not in the mask, which holds 0 \(40.0%\), 1"):
        load_mask(path, size=SIZE, label=38)


@pytest.mark.parametrize(
    ("values", "options", "objects", "void"),
    [
        ((0, 255), {}, 255, None),
        ((0, 1, 255), {}, 1, 255),
        ((0, 1, 255), {"label": 255}, 255, None),
        ((0, 1, 2, 255), {"label": 2}, 2, 255),
        ((0, 1, 2), {"ignore": 2}, 1, 2),
        ((0, 1, 9), {"ignore": 9}, 1, 9),
        ((0, 1, 255), {"ignore": 255}, 1, 255),
        ((0, 7), {"ignore": 255}, 7, None),
        ((0, 1, 2), {"label": 0}, 0, None),
    ],
)
def test_which_label_counts(
    tmp_path: Path, values: tuple[int, ...], options: dict[str, int], objects: int, void: int | None
) -> None:
    array = labelled(*values)
    mask, ignore = load_mask(write_array(tmp_path / "a.png", array), size=SIZE, **options)
    np.testing.assert_array_equal(mask, array == objects)
    if void is None:
        assert ignore is None
    else:
        np.testing.assert_array_equal(ignore, array == void)


def test_255_is_a_label_like_any_other_beyond_8_bits(tmp_path: Path) -> None:
    path = write_array(tmp_path / "a.png", labelled(0, 255, 256, dtype=np.uint16))
    with pytest.raises(MaskError, match=r"several labels: 0 \(40\.0%\), 255 \(40\.0%\), 256"):
        load_mask(path, size=SIZE)


def test_sixteen_bit_labels_are_not_clipped(tmp_path: Path) -> None:
    path = write_array(tmp_path / "a.png", labelled(0, 1000, 2000, dtype=np.uint16))
    assert load_mask(path, size=SIZE, label=2000).mask.sum() == 8 * 24


def test_only_what_is_ignored(tmp_path: Path) -> None:
    with pytest.raises(MaskError, match="nothing but label 255 is marked") as caught:
        load_mask(write_mask(tmp_path / "a.png"), size=SIZE, ignore=255)
    assert caught.value.hint == "Drop --ignore."


def test_one_label_for_two_purposes(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="label 1 cannot be both"):
        load_mask(tmp_path / "a.png", size=SIZE, label=1, ignore=1)


def test_soft_edges_are_many_labels(tmp_path: Path) -> None:
    ramp = np.repeat(np.arange(40, dtype=np.uint8)[None], 24, axis=0)
    with pytest.raises(MaskError, match=r"several labels: 0 \(2\.5%\), 1 .*, 7 \(2\.5%\) and 32 more"):
        load_mask(write_array(tmp_path / "a.png", ramp), size=SIZE)


def test_grey_in_three_channels_is_labels(tmp_path: Path) -> None:
    path = write_array(tmp_path / "a.png", np.repeat(labelled(0, 1, 2)[:, :, None], 3, axis=2))
    assert load_mask(path, size=SIZE, label=1).mask.sum() == 16 * 24


@pytest.mark.parametrize("palette", [[(255, 0, 0), (0, 255, 0)], [(0, 0, 0), (255, 0, 0), (0, 255, 0)]])
def test_colours_that_say_nothing(tmp_path: Path, palette: list[tuple[int, int, int]]) -> None:
    colours = np.array(palette, np.uint8)[labelled(*range(len(palette)))]
    with pytest.raises(MaskError, match=f"found {len(palette)} colours: .*#ff0000"):
        load_mask(write_array(tmp_path / "a.png", colours), size=SIZE)


def test_a_cut_out_photo_is_no_mask(tmp_path: Path) -> None:
    pixels = np.zeros((24, 40, 4), np.uint8)
    pixels[..., 0] = labelled(10, 20, 30, 40, 50)
    pixels[..., 3] = MASK * 255
    with pytest.raises(MaskError, match="both the colour and the transparency vary"):
        load_mask(write_array(tmp_path / "a.png", pixels), size=SIZE)


def test_a_jpeg_is_cut_at_127_with_a_warning(tmp_path: Path) -> None:
    noisy = MASK * 200 + 20
    Image.fromarray(noisy.astype(np.uint8)).save(tmp_path / "a.jpg", quality=95)
    with pytest.warns(OvssWarning, match="a JPEG blurs the edges"):
        mask = load_mask(tmp_path / "a.jpg", size=SIZE).mask
    np.testing.assert_array_equal(mask, MASK)
    with pytest.raises(MaskError, match="label 1 cannot be read"):
        load_mask(tmp_path / "a.jpg", size=SIZE, label=1)
    with pytest.raises(MaskError, match="label 0 cannot be read"):
        load_mask(tmp_path / "a.jpg", size=SIZE, ignore=0)


def test_cmyk_is_no_mask(tmp_path: Path) -> None:
    Image.new("CMYK", (40, 24)).save(tmp_path / "a.tiff")
    with pytest.raises(MaskError, match="mode CMYK"):
        load_mask(tmp_path / "a.tiff", size=SIZE)


def test_empty_full_and_tiny(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    with pytest.raises(MaskError, match="the mask is empty"):
        load_mask(write_mask(path, np.zeros(SIZE, bool)), size=SIZE)
    with pytest.warns(OvssWarning, match="covers the whole photo"):
        assert load_mask(write_mask(path, np.ones(SIZE, bool)), size=SIZE).mask.all()
    with pytest.warns(OvssWarning, match="covers the whole photo"):
        load_mask(write_array(path, labelled(1, 255)), size=SIZE, label=1)
    dot = np.zeros(SIZE, bool)
    dot[3:6, 3:8] = True
    with pytest.warns(OvssWarning, match="only 15 of 960 pixels"):
        load_mask(write_mask(path, dot), size=SIZE)
    dot[0, 0] = True
    assert load_mask(write_mask(path, dot), size=SIZE).mask.sum() == 16


def test_tiny_is_relative_to_the_photo() -> None:
    mask = np.zeros((400, 400), bool)
    mask[:9, :11] = True
    with pytest.warns(OvssWarning, match="only 99 of 160000 pixels"):
        check_mask(mask, path="a.png", size=(400, 400))
    mask[0, 11] = True
    assert check_mask(mask, path="a.png", size=(400, 400)).mask.sum() == 100


@pytest.mark.parametrize("size", [(48, 80), (12, 20), (25, 40), (24, 41), (72, 121)])
def test_a_mask_of_another_scale_is_resized_with_a_warning(tmp_path: Path, size: tuple[int, int]) -> None:
    path = write_mask(tmp_path / "a.png")
    with pytest.warns(OvssWarning, match=f"the mask is 40x24 but the photo {size[1]}x{size[0]}"):
        mask = load_mask(path, size=size).mask
    assert mask.shape == size
    assert abs(mask.mean() - MASK.mean()) < 0.03


def test_resizing_takes_the_nearest() -> None:
    mask = np.zeros((16, 16), bool)
    mask[4:8, 8:16] = True
    with pytest.warns(OvssWarning, match="resized"):
        doubled, ignore = check_mask(mask, path="a.png", size=(32, 32), ignore=mask[::-1])
    np.testing.assert_array_equal(doubled, mask.repeat(2, axis=0).repeat(2, axis=1))
    np.testing.assert_array_equal(ignore, doubled[::-1])
    with pytest.warns(OvssWarning, match="resized"):
        np.testing.assert_array_equal(check_mask(doubled, path="a.png", size=(16, 16)).mask, mask)


@pytest.mark.parametrize("size", [(40, 24), (24, 44), (100, 100)])
def test_a_mask_of_another_shape_is_an_error(tmp_path: Path, size: tuple[int, int]) -> None:
    with pytest.raises(MaskError, match=f"the mask is 40x24 but the photo is {size[1]}x{size[0]}"):
        load_mask(write_mask(tmp_path / "a.png"), size=size)


def test_a_mask_of_the_photo_as_stored(tmp_path: Path) -> None:
    path = write_mask(tmp_path / "a.png")
    with pytest.raises(
        MaskError, match=r"40x24, which fits the photo as stored \(40x24\) but not upright \(24x40, EXIF .* 6"
    ) as caught:
        load_mask(path, size=(40, 24), exif=6)
    assert "--mask-orientation raw" in str(caught.value.hint)


@pytest.mark.parametrize("exif", range(1, 9))
def test_raw_masks_turn_with_their_photo(tmp_path: Path, exif: int) -> None:
    array = labelled(0, 1, 255)
    path = write_array(tmp_path / "a.png", array)
    size = (40, 24) if exif >= 5 else (24, 40)
    mask, ignore = load_mask(path, size=size, exif=exif, orientation="raw")
    np.testing.assert_array_equal(mask, upright(array, exif) == 1)
    np.testing.assert_array_equal(ignore, upright(array, exif) == 255)


@pytest.mark.parametrize("exif", [5, 6, 7, 8])
def test_a_mask_of_the_upright_photo_is_fine(tmp_path: Path, exif: int) -> None:
    path = write_mask(tmp_path / "a.png", MASK.T)
    np.testing.assert_array_equal(load_mask(path, size=(40, 24), exif=exif).mask, MASK.T)


@pytest.mark.parametrize(("shape", "exif"), [((24, 40), 3), ((24, 40), 2), ((32, 32), 6)])
def test_where_the_size_cannot_tell_there_is_a_warning(tmp_path: Path, shape: tuple[int, int], exif: int) -> None:
    mask = np.zeros(shape, bool)
    mask[:9, :5] = True
    path = write_mask(tmp_path / "a.png", mask)
    with pytest.warns(OvssWarning, match=f"EXIF orientation {exif}.* cannot tell"):
        np.testing.assert_array_equal(load_mask(path, size=shape, exif=exif).mask, mask)


def test_a_masks_own_orientation_counts(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(MASK.astype(np.uint8)).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(load_mask(tmp_path / "a.png", size=(40, 24)).mask, upright(MASK, 6))


@pytest.mark.parametrize("name", BROKEN_PICTURES)
def test_broken_masks_are_mask_errors(tmp_path: Path, name: str) -> None:
    with pytest.raises(MaskError, match=BROKEN_PICTURES[name][1]):
        load_mask(write_broken(tmp_path, name), size=SIZE)


masks = npst.arrays(bool, npst.array_shapes(min_dims=2, max_dims=2, min_side=16, max_side=40)).map(
    lambda mask: mask | (np.indices(mask.shape).sum(axis=0) % 7 == 0) & (np.indices(mask.shape)[0] > 0)
)
"""Neither empty, nor full, nor tiny."""


@given(masks, st.sampled_from([*MODES, "bool", "uint8", "int64", "float32"]))
@settings(in_one_folder, max_examples=150)
@pytest.mark.filterwarnings("ignore:.*the mask covers:ovss_personal.errors.OvssWarning")
def test_masks_survive_every_form(tmp_path: Path, mask: np.ndarray, form: str) -> None:
    if form in MODES:
        path = write_mask(tmp_path / "a.png", mask, form)
    else:
        path = write_array(tmp_path / "a.npy", mask.astype(form))
    np.testing.assert_array_equal(load_mask(path, size=mask.shape).mask, mask)


@given(
    st.sampled_from([b"", b"\x93NUMPY\x01\0", b"\x93NUMPY\x03\0", b"\x89PNG\r\n\x1a\n", b"PK\3\4"]),
    st.binary(),
)
@in_one_folder
def test_random_bytes_are_mask_errors(tmp_path: Path, magic: bytes, data: bytes) -> None:
    for name in ("a.npy", "a.png"):
        (tmp_path / name).write_bytes(magic + data)
        with pytest.raises(MaskError):
            load_mask(tmp_path / name, size=SIZE)


@given(st.sampled_from(["a.npy", "a.png"]), st.floats(0, 1, exclude_max=True))
@settings(in_one_folder, max_examples=200)
def test_truncated_masks_fail_or_lose_nothing(tmp_path: Path, name: str, share: float) -> None:
    path = write_array(tmp_path / name, labelled(0, 1, 255))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    try:
        mask = load_mask(path, size=SIZE).mask
    except InputError:
        return
    np.testing.assert_array_equal(mask, labelled(0, 1, 255) == 1)
