"""Images as files and arrays, normalization and padding: Keras' values, and what Pillow and NumPy compute."""

import io
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import torch
from support.make_folder_values import SEQUENCES, pixels
from support.optional import is_installed

import kerastorch as kt

if not is_installed("PIL"):
    pytest.skip("Pillow is not installed", allow_module_level=True)
from PIL import Image

VALUES = json.loads((pathlib.Path(__file__).parent / "support/folder_values.json").read_text())["arrays"]
first = {"data_format": "channels_first"}
last = {"data_format": "channels_last"}


@pytest.mark.parametrize("case", VALUES["load_img"], ids=lambda case: str(case[0]))
def test_loaded_images_are_those_of_keras(tmp_path, case):
    options, expected = case
    Image.fromarray(pixels(9, 6)).save(tmp_path / "image.png")
    image = kt.utils.load_img(tmp_path / "image.png", **options)
    assert np.array_equal(kt.utils.img_to_array(image, **last), np.array(expected))
    assert np.array_equal(kt.utils.img_to_array(image), np.array(expected).transpose(2, 0, 1))
    content = io.BytesIO((tmp_path / "image.png").read_bytes())
    assert np.array_equal(kt.utils.load_img(content, **options), image)


def test_an_array_becomes_an_image_and_an_array_again():
    array = pixels(5, 7).transpose(2, 0, 1)
    for x in (array, array.astype("float64"), torch.from_numpy(array)):
        image = kt.utils.array_to_img(x, scale=False)
        assert image.size == (7, 5)
        assert np.array_equal(kt.utils.img_to_array(image), array)
    assert kt.utils.img_to_array(image).dtype == np.float32
    assert kt.utils.img_to_array(image, dtype="uint8").dtype == np.uint8


def test_values_are_stretched_as_by_keras():
    image = kt.utils.array_to_img(pixels(7, 5).astype("float32") / 7 - 3, **last)
    assert np.abs(kt.utils.img_to_array(image, **last) - np.array(VALUES["array_to_img"])).max() <= 1
    even = kt.utils.img_to_array(kt.utils.array_to_img(np.full((1, 2, 2), 3.0)))
    assert not even.any()


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
def test_the_mode_follows_from_the_channels(channels, mode):
    array = pixels(4, 5, channels).transpose(2, 0, 1)
    image = kt.utils.array_to_img(array, scale=False)
    assert image.mode == mode
    assert np.array_equal(kt.utils.img_to_array(image), array)


def test_gray_values_above_255_keep_their_size(tmp_path):
    array = np.array([[[0, 300], [40_000, 65_535]]])
    assert np.array_equal(kt.utils.img_to_array(kt.utils.array_to_img(array, scale=False)), array)
    Image.fromarray(array[0].astype("uint16")).save(tmp_path / "deep.png")
    loaded = kt.utils.load_img(tmp_path / "deep.png", color_mode="grayscale")
    assert np.array_equal(kt.utils.img_to_array(loaded), array)


@pytest.mark.parametrize(
    ("x", "options", "message"),
    [
        (np.zeros((7, 5, 3)), {}, "Pass data_format='channels_last'"),
        (np.zeros((3, 4, 5)), last, "Pass data_format='channels_first'"),
        (np.zeros((2, 4, 5)), {}, "1, 3 or 4 channels, got the shape \\(2, 4, 5\\)"),
        (np.zeros((4, 5)), {}, "got the shape \\(4, 5\\)"),
        (np.full((3, 4, 5), 300), {"scale": False}, "values from 300 to 300, and pixels go from 0 to 255"),
        (np.full((3, 4, 5), -1), {"scale": False}, "values from -1"),
        (np.full((1, 4, 5), np.nan), {}, "values from nan"),
        (np.zeros((3, 4, 5)), {"data_format": "last"}, "Unknown data_format"),
    ],
)
def test_arrays_that_are_no_images_are_named(x, options, message):
    with pytest.raises(ValueError, match=message):
        kt.utils.array_to_img(x, **options)


@pytest.mark.parametrize("name", ["image.png", "image.bmp", "image.PNG"])
def test_saved_images_have_the_values_of_the_array(tmp_path, name):
    path = tmp_path / "new" / name
    kt.utils.save_img(path, pixels(4, 5), scale=False, **last)
    with Image.open(path) as image:
        assert np.array_equal(np.asarray(image), pixels(4, 5))
    target = io.BytesIO()
    kt.utils.save_img(target, pixels(4, 5), file_format="png", scale=False, **last)
    assert np.array_equal(Image.open(target), pixels(4, 5))


def test_a_jpeg_has_no_transparency(tmp_path):
    for name in ("image.jpg", "image.jpeg"):
        with pytest.warns(UserWarning, match="no transparency"):
            kt.utils.save_img(tmp_path / name, pixels(8, 8, 4), quality=95, **last)
        assert kt.utils.load_img(tmp_path / name).mode == "RGB"
    with pytest.raises(ValueError, match="no format 'txt'"):
        kt.utils.save_img(tmp_path / "image.txt", pixels(8, 8), **last)
    with pytest.raises(ValueError, match="no format ''"):
        kt.utils.save_img(io.BytesIO(), pixels(8, 8), **last)


def test_files_that_are_no_images_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.png"):
        kt.utils.load_img(tmp_path / "absent.png")
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(ValueError, match=r"text\.png cannot be read as an image"):
        kt.utils.load_img(str(tmp_path / "text.png"))
    with pytest.raises(TypeError, match="path must be a path"):
        kt.utils.load_img(3)
    kt.utils.save_img(tmp_path / "image.png", pixels(8, 8), **last)
    with pytest.raises(ValueError, match="Unknown color_mode 'gray'"):
        kt.utils.load_img(tmp_path / "image.png", color_mode="gray")
    with pytest.raises(ValueError, match="Unknown interpolation 'area'"):
        kt.utils.load_img(tmp_path / "image.png", target_size=(2, 2), interpolation="area")
    with pytest.raises(ValueError, match="target_size must be a height and a width"):
        kt.utils.load_img(tmp_path / "image.png", target_size=8)


def test_smart_resize_is_that_of_keras():
    smart_resize = kt.preprocessing.image.smart_resize
    image = pixels(7, 5).astype("float32")
    expected = np.array(VALUES["smart_resize"])
    found = smart_resize(image, (4, 6), interpolation="bicubic", **last)
    assert np.allclose(found, expected, atol=0.15)  # TensorFlow reads the kernel from a table
    batch = torch.from_numpy(image).permute(2, 0, 1)[None]
    tensor = smart_resize(batch, (4, 6), interpolation="bicubic")
    assert isinstance(tensor, torch.Tensor)
    assert np.allclose(tensor[0].permute(1, 2, 0), found, atol=1e-4)
    assert smart_resize(pixels(7, 5), (7, 5), **last).tolist() == image.tolist()
    with pytest.raises(ValueError, match="looks channels-last"):
        smart_resize(image, (4, 6))
    with pytest.raises(ValueError, match="3 or 4 axes"):
        smart_resize(image[0], (4, 6))


@pytest.mark.parametrize("case", VALUES["normalize"], ids=lambda case: str(case[0]))
def test_normalize_is_that_of_keras(case):
    x = np.array(VALUES["x"])
    assert np.allclose(kt.utils.normalize(x, **case[0]), case[1])
    tensor = kt.utils.normalize(torch.from_numpy(x), **case[0])
    assert isinstance(tensor, torch.Tensor)
    assert np.allclose(tensor, case[1])


def test_normalize_divides_along_the_first_axis_too_and_leaves_zeros():
    x = np.array([[3.0, 0.0], [4.0, 0.0]])
    assert kt.utils.normalize(x, axis=0).tolist() == [[0.6, 0.0], [0.8, 0.0]]
    assert np.allclose(kt.utils.normalize(torch.tensor([[3, 0], [4, 0]]), axis=0), [[0.6, 0.0], [0.8, 0.0]])
    assert kt.utils.normalize([3, 4]).tolist() == [0.6, 0.8]
    assert np.allclose(np.linalg.norm(kt.utils.normalize(np.arange(5.0), axis=None)), 1)


@pytest.mark.parametrize("case", VALUES["pad_sequences"], ids=lambda case: str(case[0]))
def test_pad_sequences_is_that_of_keras(case):
    assert kt.utils.pad_sequences(SEQUENCES, **case[0]).tolist() == case[1]


def test_pillow_is_not_loaded_before_it_is_used():
    script = "import kerastorch, sys; print('PIL' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
