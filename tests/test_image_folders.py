"""Folders of images as datasets, beside Pillow, TensorFlow's values and loops of torch."""

import json
import pathlib
import pickle
from itertools import chain

import numpy as np
import pytest
import torch
from support.make_folder_values import METHODS, SIZES, TARGETS, pixels
from support.optional import is_installed, optional
from support.resumption import whole_and_resumed
from torch.utils.data import DataLoader

import kerastorch as kt
from kerastorch.preprocessing import image_resizing
from kerastorch.preprocessing.image_resizing import resize, resize_and_crop, resize_and_pad

if not is_installed("PIL"):
    pytest.skip("Pillow is not installed", allow_module_level=True)
from PIL import Image

from_directory = kt.utils.image_dataset_from_directory
VALUES = json.loads((pathlib.Path(__file__).parent / "support/folder_values.json").read_text())
CLASSES = {"bee": 5, "ant": 4, "cat": 3}


@pytest.fixture
def folder(tmp_path):
    """Return a folder of 12 images in three classes, each with a pixel value of its own."""
    number = 0
    for name, count in CLASSES.items():
        (tmp_path / name).mkdir()
        for index in range(count):
            Image.new("RGB", (8, 6), (number, 100, 200)).save(tmp_path / name / f"{index}.png")
            number += 1
    return tmp_path


def pixels_in(path, mode="RGB"):
    with Image.open(path) as image:
        return np.atleast_3d(np.array(image.convert(mode)))  # (height, width, channels)


def read(path):
    return torch.from_numpy(pixels_in(path)).permute(2, 0, 1).float()


def names_in(dataset):
    return [str(pathlib.Path(*pathlib.Path(path).parts[-2:])) for path in dataset.file_paths]


def test_an_index_gives_a_sample_and_iteration_gives_batches(folder):
    dataset = from_directory(folder, image_size=(6, 8), batch_size=5, shuffle=False, verbose=False)
    assert isinstance(dataset, torch.utils.data.Dataset)
    assert dataset.class_names == ["ant", "bee", "cat"]
    assert names_in(dataset)[:5] == ["ant/0.png", "ant/1.png", "ant/2.png", "ant/3.png", "bee/0.png"]
    assert len(dataset) == 12
    assert dataset.cardinality() == 3
    for index, path in enumerate(dataset.file_paths):
        x, y = dataset[index]
        assert torch.equal(x, read(path))
        assert x.dtype == torch.float32
        assert y == dataset.class_names.index(pathlib.Path(path).parent.name)
    batches = list(dataset)
    assert [x.shape for x, _ in batches] == [(5, 3, 6, 8), (5, 3, 6, 8), (2, 3, 6, 8)]
    assert torch.equal(torch.cat([x for x, _ in batches]), torch.stack([read(path) for path in dataset.file_paths]))
    assert torch.cat([y for _, y in batches]).tolist() == [0] * 4 + [1] * 5 + [2] * 3
    assert batches[0][1].dtype == torch.int64
    assert torch.equal(dataset[-1][0], dataset[11][0])
    with pytest.raises(IndexError, match="12 samples"):
        dataset[12]


def test_the_numbers_of_files_and_classes_are_printed_as_in_keras(folder, capsys):
    from_directory(folder, validation_split=0.25, subset="both", seed=1)
    assert capsys.readouterr().out.splitlines() == [
        "Found 12 files belonging to 3 classes.",
        "Using 9 files for training.",
        "Using 3 files for validation.",
    ]
    from_directory(folder, labels=None)
    assert capsys.readouterr().out == "Found 12 files.\n"


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("int", torch.tensor([0] * 4 + [1] * 5)),
        ("binary", torch.tensor([[0.0]] * 4 + [[1.0]] * 5)),
        ("categorical", torch.tensor([[1.0, 0.0]] * 4 + [[0.0, 1.0]] * 5)),
    ],
)
def test_label_modes(folder, mode, expected):
    dataset = from_directory(
        folder, label_mode=mode, class_names=["ant", "bee"], image_size=4, batch_size=9, shuffle=False, verbose=False
    )
    (_, y), *others = list(dataset)
    assert not others
    assert torch.equal(y, expected)
    assert y.dtype == expected.dtype
    assert torch.equal(dataset.targets, expected)


def test_class_names_choose_folders_and_their_numbers(folder):
    dataset = from_directory(folder, class_names=["cat", "ant"], shuffle=False, verbose=False)
    assert dataset.class_names == ["cat", "ant"]
    assert dataset.targets.tolist() == [0] * 3 + [1] * 4
    with pytest.raises(ValueError, match=r"'dog', but the folders .* are \['ant', 'bee', 'cat'\]"):
        from_directory(folder, class_names=["cat", "dog"], verbose=False)


def test_labels_can_be_given_for_the_sorted_files(folder):
    labels = [1.5 * number for number in range(12)]
    dataset = from_directory(folder, labels=labels, image_size=4, shuffle=False, verbose=False)
    assert torch.equal(dataset.targets, torch.tensor(labels))
    assert names_in(dataset)[4] == "bee/0.png"
    assert dataset[4][1] == 6.0
    whole = from_directory(folder, labels=list(range(12)), label_mode="categorical", image_size=4, verbose=False)
    assert whole.class_names == [str(number) for number in range(12)]
    assert whole.targets.shape == (12, 12)
    with pytest.raises(ValueError, match=r"labels has 2 entries, and .* has 12 files"):
        from_directory(folder, labels=[0, 1], verbose=False)
    with pytest.raises(TypeError, match="list of numbers"):
        from_directory(folder, labels=["ant"] * 12, verbose=False)
    with pytest.raises(ValueError, match=r"takes labels from 0 to 1, got 7"):
        from_directory(folder, labels=[0, 7] * 6, label_mode="categorical", verbose=False)


@pytest.mark.parametrize("off", [{"labels": None}, {"label_mode": None}])
def test_without_labels_samples_are_images(folder, off):
    dataset = from_directory(folder, image_size=(6, 8), shuffle=False, verbose=False, **off)
    assert dataset.class_names is None
    assert dataset.targets is None
    assert torch.equal(dataset[0], read(dataset.file_paths[0]))
    assert next(iter(dataset)).shape == (12, 3, 6, 8)


@pytest.mark.parametrize("mode", ["rgb", "rgba", "grayscale"])
@pytest.mark.parametrize("ending", ["png", "jpg", "JPEG", "bmp", "gif"])
def test_pixels_are_those_of_pillow(tmp_path, mode, ending):
    path = tmp_path / f"image.{ending}"
    Image.fromarray(pixels(7, 5)).save(path)
    expected = pixels_in(path, {"rgb": "RGB", "rgba": "RGBA", "grayscale": "L"}[mode]).astype("float32")
    options = {"labels": None, "color_mode": mode, "image_size": (7, 5), "verbose": False}
    first = from_directory(tmp_path, **options)[0]
    last = from_directory(tmp_path, data_format="channels_last", **options)[0]
    assert np.array_equal(first.numpy(), expected.transpose(2, 0, 1))
    assert np.array_equal(last.numpy(), expected)


def test_images_of_other_modes_become_eight_bits_a_channel(tmp_path):
    gray16 = np.array([[0, 255, 256, 65535]], dtype=np.uint16)
    Image.fromarray(gray16).save(tmp_path / "a.png")
    palette = Image.fromarray(pixels(4, 4)).convert("P", palette=Image.Palette.ADAPTIVE, colors=4)
    palette.save(tmp_path / "b.png", transparency=bytes([0, 255, 128, 64]))  # Pillow would warn of this one
    Image.fromarray(np.array([[0, 1]], dtype=bool)).save(tmp_path / "c.png")
    dataset = from_directory(tmp_path, labels=None, image_size=(1, 4), interpolation="nearest", shuffle=False)
    assert dataset[0].tolist() == [[[0, 0, 1, 255]]] * 3
    exact = from_directory(tmp_path, labels=None, image_size=(4, 4), shuffle=False, verbose=False)
    assert np.array_equal(exact[1].numpy().transpose(1, 2, 0), np.array(palette.convert("RGB")))
    small = from_directory(tmp_path, labels=None, image_size=(1, 2), shuffle=False, verbose=False)
    assert small[2].tolist() == [[[0, 255]]] * 3


def test_of_an_animation_the_first_frame_is_read(tmp_path):
    frames = [Image.new("L", (3, 3), value) for value in (40, 200)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    dataset = from_directory(tmp_path, labels=None, image_size=3, color_mode="grayscale", verbose=False)
    assert dataset[0].unique().tolist() == [40]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
def test_images_are_resized_as_by_keras_with_tensorflow(tmp_path, method, fit):
    if f"{method} {TARGETS[0]} {fit}" not in VALUES["images"]:
        pytest.skip("Keras cannot crop with this method")
    for number, size in enumerate(SIZES):
        Image.fromarray(pixels(*size)).save(tmp_path / f"{number}.png")
    for size in TARGETS:
        dataset = from_directory(
            tmp_path,
            labels=None,
            image_size=size,
            interpolation=method,
            shuffle=False,
            crop_to_aspect_ratio=fit == "crop",
            pad_to_aspect_ratio=fit == "pad",
            verbose=False,
        )
        expected = np.array(VALUES["images"][f"{method} {size} {fit}"])
        # TensorFlow reads the cubic kernel from a table of 1024 entries; images go from 0 to 255
        tolerance = 0.15 if method == "bicubic" else 0.002
        assert np.allclose(next(iter(dataset))[:, 1].numpy(), expected, atol=tolerance)


@pytest.mark.parametrize("method", METHODS)
def test_an_even_image_stays_even_when_it_is_resized(method):
    even = torch.full((2, 5, 9), 7.0)
    assert torch.allclose(resize(even, (8, 4), method), torch.full((2, 8, 4), 7.0), atol=1e-4)
    assert torch.allclose(resize_and_crop(even[None], (3, 3), method), torch.full((1, 2, 3, 3), 7.0), atol=1e-4)
    padded = resize_and_pad(even, (9, 9), method)
    assert torch.allclose(padded[:, 2:7], torch.full((2, 5, 9), 7.0), atol=1e-4)
    assert padded[:, [0, 1, 7, 8]].abs().max() == 0


def test_the_area_method_gives_means_of_squares():
    image = torch.arange(36.0).reshape(1, 6, 6)
    assert torch.allclose(resize(image, (3, 2), "area"), torch.nn.functional.avg_pool2d(image, (2, 3)))


def test_each_pass_of_a_shuffled_dataset_has_another_order_that_repeats_with_the_seed(folder):
    def passes(seed):
        dataset = from_directory(folder, image_size=4, batch_size=4, seed=seed, verbose=False)
        return [torch.cat([x[:, 0, 0, 0] for x, _ in dataset]).tolist() for _ in range(3)]

    first = passes(3)
    assert passes(3) == first
    assert passes(4) != first
    assert first[0] != first[1] != first[2]
    assert all(sorted(one) == list(range(12)) for one in first)


def test_without_a_seed_the_order_follows_the_seed_of_torch_and_draws_nothing(folder):
    def order(seed):
        kt.utils.set_random_seed(seed)
        found = from_directory(folder, verbose=False).file_paths
        return found, torch.rand(1).item(), np.random.rand()

    assert order(1) == order(1)
    assert order(1)[0] != order(2)[0]
    kt.utils.set_random_seed(1)
    assert order(1)[1:] == (torch.manual_seed(1) and torch.rand(1).item(), np.random.RandomState(1).rand())


def model_of(size=4):
    kt.utils.set_random_seed(0)
    first = [kt.Input((3, size, size)), kt.layers.Rescaling(1 / 255)]
    model = kt.Sequential([*first, kt.layers.Flatten(), kt.layers.Dense(3, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


class BatchSizes(kt.callbacks.Callback):
    def __init__(self):
        self.sizes = []

    def on_test_batch_end(self, batch, logs=None):
        self.sizes.append("test")

    def on_train_batch_end(self, batch, logs=None):
        self.sizes.append("train")


def test_fit_trains_with_the_batches_and_the_order_of_the_dataset(folder):
    dataset = from_directory(folder, image_size=4, batch_size=5, seed=9, verbose=False)
    model, hand = model_of(), model_of()
    model.fit(dataset, epochs=2, verbose=0)
    x, y = torch.stack([x for x, _ in map(dataset.__getitem__, range(12))]), dataset.targets
    optimizer = torch.optim.Adam(hand.parameters(), eps=1e-7)
    for epoch in range(2):
        for rows in kt.data.permutation(12, 9, epoch).split(5):
            optimizer.zero_grad()
            torch.nn.functional.nll_loss(hand(x[rows]).log(), y[rows]).backward()
            optimizer.step()
    for found, expected in zip(model.get_weights(), hand.get_weights(), strict=True):
        assert np.allclose(found, expected, atol=1e-6)


def test_verbs_use_the_batch_size_of_the_dataset_unless_another_is_given(folder):
    training, validation = from_directory(
        folder, image_size=4, batch_size=2, seed=1, validation_split=0.5, subset="both", verbose=False
    )
    seen = BatchSizes()
    model = model_of()
    model.fit(training, validation_data=validation, callbacks=[seen], verbose=0)
    assert seen.sizes == ["train"] * 3 + ["test"] * 3
    seen.sizes.clear()
    model.fit(training, batch_size=3, callbacks=[seen], verbose=0)
    assert seen.sizes == ["train"] * 2
    model.evaluate(validation, callbacks=[seen], verbose=0)
    assert seen.sizes[2:] == ["test"] * 3


def test_predictions_are_in_the_order_of_the_file_paths_even_if_the_dataset_shuffles(folder):
    dataset = from_directory(folder, image_size=4, batch_size=5, seed=1, verbose=False)
    model = model_of()
    found = model.predict(dataset, verbose=0)
    images = torch.stack([resize(read(path), (4, 4), "bilinear") for path in dataset.file_paths])
    assert np.allclose(found, model.predict(images, verbose=0), atol=1e-6)


def test_a_dataset_that_is_not_shuffled_keeps_its_order_in_fit(folder):
    sorted_, shuffled = (from_directory(folder, image_size=4, batch_size=5, shuffle=on, seed=1) for on in (False, True))
    labels = []

    class Own(kt.Model):
        def __init__(self):
            super().__init__()
            self.net = model_of()

        def forward(self, x):
            return self.net(x)

        def compute_loss(self, x, y, y_pred, sample_weight, training=True):
            labels.append(y.tolist())
            return super().compute_loss(x, y, y_pred, sample_weight)

    for dataset in (sorted_, shuffled):
        model = Own()
        model.compile("adam", "sparse_categorical_crossentropy")
        model.fit(dataset, verbose=0)
    assert list(chain.from_iterable(labels[:3])) == sorted_.targets.tolist()
    assert list(chain.from_iterable(labels[3:])) == shuffled.targets[kt.data.permutation(12, 1, 0)].tolist()


@pytest.mark.parametrize("context", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_workers_read_the_images(folder, context):
    dataset = from_directory(folder, image_size=4, batch_size=4, seed=1, verbose=False)
    loader = DataLoader(dataset, batch_size=4, num_workers=2, multiprocessing_context=context)
    x = torch.cat([x for x, _ in loader])
    assert torch.equal(x, torch.stack([dataset[index][0] for index in range(12)]))
    model, alone = model_of(), model_of()
    model.fit(loader, verbose=0)
    alone.fit(dataset, shuffle=False, verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), alone.get_weights(), strict=True))


def test_workers_of_fit_evaluate_and_predict_change_no_number(folder):
    dataset = from_directory(folder, image_size=4, batch_size=5, seed=1, verbose=False)
    model, alone = model_of(), model_of()
    history = model.fit(dataset, validation_split=0.25, validation_shuffle=True, epochs=2, workers=2, verbose=0)
    expected = alone.fit(dataset, validation_split=0.25, validation_shuffle=True, epochs=2, verbose=0)
    assert history.history == expected.history
    assert model.evaluate(dataset, workers=2, verbose=0) == alone.evaluate(dataset, verbose=0)
    assert np.array_equal(model.predict(dataset, workers=2, verbose=0), alone.predict(dataset, verbose=0))


def test_a_training_with_workers_resumes_to_the_bit(folder, tmp_path_factory):
    flip = kt.layers.RandomFlip()

    def fit(callbacks):
        kt.utils.set_random_seed(5)
        dataset = from_directory(folder, image_size=4, batch_size=3, verbose=False)
        model = model_of()
        model.fit(dataset.map(lambda x, y: (flip(x), y)), epochs=2, workers=2, callbacks=callbacks, verbose=0)
        return model.get_weights()

    whole, resumed = whole_and_resumed(fit, (1, 1), tmp_path_factory.mktemp("state"))
    assert all(np.array_equal(a, b) for a, b in zip(whole, resumed, strict=True))


def test_a_dataset_can_be_pickled(folder):
    dataset = from_directory(folder, image_size=4, seed=1, verbose=False)
    again = pickle.loads(pickle.dumps(dataset))
    assert again.class_names == dataset.class_names
    assert torch.equal(again[3][0], dataset[3][0])


@pytest.mark.parametrize("at", [(0, 1), (1, 0), (1, 2)])
@pytest.mark.parametrize("is_split", [False, True])
def test_a_training_that_was_interrupted_in_an_epoch_resumes_to_the_bit(folder, tmp_path_factory, at, is_split):
    def fit(callbacks):
        kt.utils.set_random_seed(5)  # of the script, which is run again
        dataset = from_directory(folder, image_size=6, batch_size=3, verbose=False)
        flip, noise = kt.layers.RandomFlip(seed=4), np.random.default_rng(3)  # each with random numbers of its own
        augmented = dataset.map(lambda x, y: (flip(x) + torch.rand(len(x), 1, 1, 1) + noise.random(), y))
        model = model_of(6)
        split = {"validation_split": 0.25, "validation_shuffle": True} if is_split else {}
        history = model.fit(augmented, epochs=3, callbacks=callbacks, verbose=0, **split)
        return [*model.get_weights(), *map(np.array, history.history.values())]

    whole, resumed = whole_and_resumed(fit, at, tmp_path_factory.mktemp("state"))
    assert all(np.array_equal(a, b) for a, b in zip(whole, resumed, strict=True))


def test_a_training_does_not_resume_with_other_files(folder, tmp_path_factory):
    state = tmp_path_factory.mktemp("state")

    def fit(seed, stop):
        dataset = from_directory(folder, image_size=4, batch_size=3, seed=seed, verbose=False)
        backup = kt.callbacks.BackupAndRestore(state / "state", save_freq=1)
        stopping = [kt.callbacks.LambdaCallback(on_train_batch_end=stop), backup]
        model_of().fit(dataset, epochs=2, callbacks=stopping, verbose=0)

    def stop(batch, logs=None):
        if batch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(1, stop)
    with pytest.raises(kt.errors.CheckpointError, match="checksum of the samples"):
        fit(2, lambda batch, logs=None: None)


def test_the_checksum_depends_on_the_files_and_not_on_where_they_are(folder, tmp_path):
    moved = tmp_path.parent / f"{tmp_path.name}-moved"
    first = from_directory(folder, seed=1, verbose=False).checksum()
    folder.rename(moved)
    assert from_directory(moved, seed=1, verbose=False).checksum() == first
    assert from_directory(moved, seed=2, verbose=False).checksum() != first
    assert from_directory(moved, seed=1, verbose=False).take(0).checksum() != first


def test_class_weights_stratified_splits_and_datasets_of_torch_work(folder):
    dataset = from_directory(folder, image_size=4, batch_size=4, seed=1, verbose=False)
    model = model_of()
    model.fit(dataset, class_weight="balanced", verbose=0)
    history = model.fit(dataset, validation_split=0.25, validation_stratify=True, verbose=0)
    assert "val_accuracy" in history.history
    joined = torch.utils.data.ConcatDataset([dataset, torch.utils.data.Subset(dataset, [0, 5])])
    assert model.predict(joined, verbose=0).shape == (14, 3)


def test_a_damaged_image_is_named_in_every_kind_of_reading(folder):
    broken = folder / "bee/2.png"
    broken.write_bytes(broken.read_bytes()[:40])
    dataset = from_directory(folder, image_size=4, shuffle=False, verbose=False)
    message = r"bee.2\.png cannot be read as an image"
    with pytest.raises(ValueError, match=message):
        dataset[6]
    with pytest.raises(ValueError, match=message):
        model_of().fit(dataset, verbose=0)
    with pytest.raises(ValueError, match=message):
        list(DataLoader(dataset, 4, num_workers=1))
    (folder / "ant/0.png").write_text("no image")
    with pytest.raises(ValueError, match=r"ant.0\.png cannot be read as an image"):
        dataset[0]
    (folder / "ant/1.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"ant.1\.png"):
        dataset[1]


def test_folders_without_images_say_what_was_found(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        from_directory(tmp_path / "absent")
    Image.new("L", (2, 2)).save(tmp_path / "a.png")
    with pytest.raises(NotADirectoryError, match="is a file"):
        from_directory(tmp_path / "a.png")
    with pytest.raises(ValueError, match="1 images are in the folder itself; labels=None reads"):
        from_directory(tmp_path, verbose=False)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="No images found in directory"):
        from_directory(tmp_path / "empty", labels=None, verbose=False)


def test_a_class_without_images_keeps_its_number(folder):
    (folder / "aardvark").mkdir()
    (folder / ".hidden").mkdir()
    dataset = from_directory(folder, image_size=4, shuffle=False, verbose=False)
    assert dataset.class_names == ["aardvark", "ant", "bee", "cat"]
    assert dataset.targets[0] == 1


def test_linked_folders_are_read_if_wanted(folder, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    Image.new("L", (2, 2)).save(outside / "linked.png")
    (folder / "ant/link").symlink_to(outside, target_is_directory=True)
    assert len(from_directory(folder, verbose=False)) == 12
    assert len(from_directory(folder, follow_links=True, verbose=False)) == 13


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": "infered"}, "labels must be 'inferred'"),
        ({"labels": None, "class_names": ["ant"]}, "class_names can only be given with labels='inferred'"),
        ({"label_mode": "onehot"}, "Unknown label_mode 'onehot'"),
        ({"label_mode": "binary"}, "2 classes, and there are 3"),
        ({"color_mode": "bgr"}, "Unknown color_mode 'bgr'"),
        ({"image_size": (3, 4, 5)}, "image_size must be a height and a width"),
        ({"image_size": 0}, "image_size must be an integer >= 1"),
        ({"interpolation": "linear"}, "Unknown interpolation 'linear'"),
        ({"crop_to_aspect_ratio": True, "pad_to_aspect_ratio": True}, "not both"),
        ({"data_format": "chanels_last"}, "Did you mean 'channels_last'"),
        ({"format": "numpy"}, "Unknown format 'numpy'"),
        ({"batch_size": 0}, "batch_size must be an integer >= 1"),
        ({"validation_split": 0.2}, "validation_split and subset belong together"),
        ({"subset": "training"}, "validation_split and subset belong together"),
        (
            {"validation_split": 1.2, "subset": "both", "seed": 1},
            "validation_split must be a finite number > 0 and < 1",
        ),
        ({"validation_split": 0.2, "subset": "test", "seed": 1}, "Unknown subset 'test'"),
        ({"validation_split": 0.2, "subset": "both"}, "needs a seed"),
        ({"validation_split": 0.01, "subset": "both", "seed": 1}, "No validation images .* of 12 files is 0"),
    ],
)
def test_wrong_arguments_are_named(folder, options, message):
    with pytest.raises(ValueError, match=message):
        from_directory(folder, verbose=False, **options)


def test_pillow_is_asked_for_if_it_is_absent(folder, monkeypatch):
    monkeypatch.setattr("kerastorch.core.optional_dependency.find_spec", lambda name: None)
    with pytest.raises(ImportError, match="image_dataset_from_directory needs PIL: pip install pillow"):
        from_directory(folder)
    with pytest.raises(ImportError, match="pip install pillow"):
        kt.utils.load_img(folder / "ant/0.png")


def test_the_names_of_keras_preprocessing_are_the_same_functions():
    assert kt.preprocessing.image_dataset_from_directory is from_directory
    assert kt.preprocessing.text_dataset_from_directory is kt.utils.text_dataset_from_directory
    assert kt.preprocessing.timeseries_dataset_from_array is kt.utils.timeseries_dataset_from_array
    assert kt.preprocessing.sequence.pad_sequences is kt.utils.pad_sequences
    for name in ("load_img", "save_img", "img_to_array", "array_to_img"):
        assert getattr(kt.preprocessing.image, name) is getattr(kt.utils, name)


def test_torchvision_reads_the_same_classes(folder):
    reference = optional("torchvision.datasets").ImageFolder(str(folder))
    dataset = from_directory(folder, shuffle=False, verbose=False)
    assert dataset.file_paths == [path for path, _ in reference.samples]
    assert dataset.targets.tolist() == reference.targets


@pytest.mark.parametrize("method", image_resizing.METHODS)
def test_an_image_of_the_wanted_size_is_what_the_method_makes_of_it(method, monkeypatch):
    image = torch.randint(0, 256, (3, 9, 7)).float()
    found = image_resizing.resize(image, (9, 7), method)
    monkeypatch.setattr(image_resizing, "_KEPT", ())
    torch.testing.assert_close(found, image_resizing.resize(image, (9, 7), method), rtol=0, atol=1e-3)
    assert found.data_ptr() != image.data_ptr()
