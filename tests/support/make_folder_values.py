"""Compute what Keras' functions for folders, series and splits return, and store it in `folder_values.json`.

To make the file again, install Keras 3.15, TensorFlow and Pillow into an environment of their own, and run there:

    KERAS_BACKEND=tensorflow python tests/support/make_folder_values.py
"""

import copy
import json
import pathlib
import tempfile
import wave

import numpy as np

HERE = pathlib.Path(__file__).parent
SIZES = [(7, 12), (12, 7), (9, 9), (5, 20)]  # height and width of the images
METHODS = ["bilinear", "nearest", "bicubic", "area", "lanczos3", "lanczos5", "gaussian", "mitchellcubic"]
TARGETS = [(6, 6), (11, 5), (3, 8)]
FILES = {"blue": ["2.txt", "10.txt", "b.TXT", "deep/1.txt"], "amber": ["z.txt", "a.txt", "Z.txt"], "c c": ["x.txt"]}
IGNORED = [".hidden/1.txt", "amber/notes.md", "top.txt", "empty/nothing.md"]
WINDOWS = [
    {"sequence_length": 5},
    {"sequence_length": 5, "sequence_stride": 3},
    {"sequence_length": 4, "sampling_rate": 3},
    {"sequence_length": 4, "sampling_rate": 3, "sequence_stride": 2, "start_index": 5, "end_index": 30},
    {"sequence_length": 6, "start_index": 10},
    {"sequence_length": 6, "end_index": 20, "sequence_stride": 4},
    {"sequence_length": 1},
    {"sequence_length": 3, "shuffle": True, "seed": 7},
]
SPLITS = [
    {"left_size": 0.8},
    {"right_size": 0.25},
    {"left_size": 3},
    {"right_size": 4},
    {"left_size": 0.3, "right_size": 0.3},
    {"left_size": 2, "right_size": 5},
    {"left_size": 0.55, "shuffle": True, "seed": 3},
    {"left_size": 0.5, "right_size": 2, "shuffle": True, "seed": 0},
]
PADDINGS = [
    {},
    {"padding": "post"},
    {"maxlen": 3},
    {"maxlen": 3, "truncating": "post"},
    {"maxlen": 6, "padding": "post", "value": -1},
    {"maxlen": 2, "padding": "post", "truncating": "post", "dtype": "float32", "value": 0.5},
]
SEQUENCES = [[1, 2, 3, 4], [5], [], [6, 7]]


def pixels(height, width, channels=3):
    """Return an image in which every pixel differs from its neighbors, uint8 (height, width, channels)."""
    i, j, k = np.meshgrid(np.arange(height), np.arange(width), np.arange(channels), indexing="ij")
    return ((37 * i + 91 * j + 53 * k + 11 * i * j) % 256).astype(np.uint8)


def write_texts(folder):
    """Write text files in subfolders, and files that are ignored."""
    for name in [f"{label}/{file}" for label, files in FILES.items() for file in files] + IGNORED:
        path = pathlib.Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"text of {name}")


def write_sound(path, samples, rate=8000):
    """Write a WAV file of 16 bits from integers, `(time, channels)`."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())


def sounds():
    """Return the samples of three sounds of different lengths, int16 (time, 2)."""
    return [(np.arange(2 * n).reshape(n, 2) * 3001 % 65536 - 32768).astype(np.int16) for n in (5, 8, 3)]


def images(keras):
    from PIL import Image

    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, size in enumerate(SIZES):
            Image.fromarray(pixels(*size)).save(f"{folder}/{number}.png")
        for method in METHODS:
            for size in TARGETS:
                # Keras cannot crop with these two
                for fit in (
                    ("stretch", "pad") if method in ("gaussian", "mitchellcubic") else ("stretch", "crop", "pad")
                ):
                    dataset = keras.utils.image_dataset_from_directory(
                        folder,
                        labels=None,
                        image_size=size,
                        interpolation=method,
                        shuffle=False,
                        crop_to_aspect_ratio=fit == "crop",
                        pad_to_aspect_ratio=fit == "pad",
                        verbose=False,
                    )
                    # one channel of each image: all channels are resized alike
                    rows = np.concatenate([batch.numpy() for batch in dataset])[..., 1]
                    found[f"{method} {size} {fit}"] = np.round(rows.astype(float), 3).tolist()
    return found


def texts(keras):
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        write_texts(folder)
        for name, options in {
            "sorted": {"shuffle": False},
            "seed 5": {"seed": 5},
            "labels given": {"labels": list(range(10)), "seed": 1},
            "no labels": {"labels": None, "seed": 2},
            "classes chosen": {"class_names": ["c c", "amber"], "seed": 3},
            "training": {"validation_split": 0.3, "subset": "training", "seed": 4},
            "validation": {"validation_split": 0.3, "subset": "validation", "seed": 4},
            "validation sorted": {"validation_split": 0.3, "subset": "validation", "shuffle": False},
        }.items():
            found[name] = {"options": options, **index(keras, folder, options)}
    return found


def index(keras, folder, options):
    """Return the files and labels in the order of Keras, before TensorFlow's own shuffling of batches."""
    from keras.src.utils import dataset_utils

    options = {"labels": "inferred", "class_names": None, "shuffle": True, "seed": None, **copy.deepcopy(options)}
    split, subset = options.pop("validation_split", None), options.pop("subset", None)
    paths, labels, names = dataset_utils.index_directory(folder, formats=(".txt",), verbose=False, **options)
    paths, labels = dataset_utils.get_training_or_validation_split(paths, labels, split, subset)
    return {
        "paths": [str(pathlib.Path(path).relative_to(folder)) for path in paths],
        "labels": None if labels is None else [int(label) for label in labels],
        "class_names": names,
    }


def windows(keras):
    data = np.arange(80).reshape(40, 2)
    found = []
    for options in WINDOWS:
        for targets in (None, np.arange(40) * 10, np.arange(33) * 10):
            if targets is not None and len(targets) < len(data) and "start_index" in options:
                continue  # Keras raises an error for windows without a target
            dataset = keras.utils.timeseries_dataset_from_array(
                data, targets, batch_size=None, **{**options, "shuffle": False}
            )
            items = [[part.numpy().tolist() for part in (item if targets is not None else (item,))] for item in dataset]
            if options.get("shuffle"):
                starts = np.arange(len(items))
                np.random.RandomState(options["seed"]).shuffle(starts)
                items = [items[start] for start in starts]
            found.append({"options": options, "targets": None if targets is None else len(targets), "items": items})
    return found


def splits(keras):
    found = []
    for options in SPLITS:
        left, right = keras.utils.split_dataset(np.arange(13), **options)
        found.append({"options": options, "left": [int(x) for x in left], "right": [int(x) for x in right]})
    return found


def arrays(keras):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 4, 2))
    norms = [{"axis": axis, "order": order} for axis in (-1, 1) for order in (1, 2, 3)]
    image = pixels(7, 5).astype("float32")
    resized = keras.preprocessing.image.smart_resize(image, (4, 6), interpolation="bicubic")
    stretched = keras.utils.array_to_img(image / 7 - 3)
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/image.png"
        keras.utils.save_img(path, pixels(9, 6), scale=False)
        loads = [
            {"color_mode": mode, "target_size": size, "interpolation": method, "keep_aspect_ratio": keep}
            for mode in ("rgb", "rgba", "grayscale")
            for size, method, keep in [(None, "nearest", False), ((4, 5), "bilinear", False), ((4, 5), "box", True)]
        ]
        loaded = [keras.utils.img_to_array(keras.utils.load_img(path, **options)).tolist() for options in loads]
    return {
        "x": x.tolist(),
        "normalize": [[options, keras.utils.normalize(x, **options).tolist()] for options in norms],
        "pad_sequences": [[options, keras.utils.pad_sequences(SEQUENCES, **options).tolist()] for options in PADDINGS],
        "smart_resize": np.asarray(resized).tolist(),
        "array_to_img": keras.utils.img_to_array(stretched).tolist(),
        "load_img": [[options, image] for options, image in zip(loads, loaded, strict=True)],
    }


def audio(keras):
    with tempfile.TemporaryDirectory() as folder:
        for number, samples in enumerate(sounds()):
            write_sound(f"{folder}/{number}.wav", samples)
        found = {}
        for length in (None, 4):
            dataset = keras.utils.audio_dataset_from_directory(
                folder, labels=None, shuffle=False, output_sequence_length=length, verbose=False
            )
            found[str(length)] = np.concatenate([batch.numpy() for batch in dataset]).tolist()
    return found


if __name__ == "__main__":
    import keras

    makers = [images, texts, windows, splits, arrays, audio]
    values = {"keras": keras.__version__, **{make.__name__: make(keras) for make in makers}}
    (HERE / "folder_values.json").write_text(json.dumps(values, separators=(",", ":")) + "\n")
