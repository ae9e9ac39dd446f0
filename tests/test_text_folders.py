"""Folders of texts as datasets: the files, labels and parts that Keras finds, and the way to numbers."""

import json
import pathlib

import numpy as np
import pytest
import torch
from support.make_folder_values import write_texts

import kerastorch as kt

from_directory = kt.utils.text_dataset_from_directory
VALUES = json.loads((pathlib.Path(__file__).parent / "support/folder_values.json").read_text())["texts"]


@pytest.fixture
def folder(tmp_path):
    write_texts(tmp_path)
    return tmp_path


@pytest.mark.parametrize("case", VALUES)
def test_files_labels_and_parts_are_those_of_keras_with_the_same_seed(folder, case):
    expected = VALUES[case]
    dataset = from_directory(folder, verbose=False, **expected["options"])
    assert [str(pathlib.Path(path).relative_to(folder)) for path in dataset.file_paths] == expected["paths"]
    assert dataset.class_names == expected["class_names"]
    assert (None if dataset.targets is None else dataset.targets.tolist()) == expected["labels"]
    assert all((folder / path).read_text() == f"text of {path}" for path in expected["paths"])
    texts = [dataset[row] if dataset.targets is None else dataset[row][0] for row in range(len(dataset))]
    assert texts == [f"text of {path}" for path in expected["paths"]]


def test_without_a_label_mode_files_are_those_without_labels(folder):
    unlabeled = from_directory(folder, labels=None, seed=2, verbose=False)
    dataset = from_directory(folder, label_mode=None, seed=2, verbose=False)
    assert dataset.file_paths == unlabeled.file_paths
    assert len(dataset) == 10
    assert dataset.class_names is None
    with pytest.raises(ValueError, match="class_names can only be given"):
        from_directory(folder, label_mode=None, class_names=["amber"])


def test_both_parts_are_those_that_are_asked_for_one_by_one(folder):
    options = {"validation_split": 0.3, "seed": 4, "verbose": False}
    training, validation = from_directory(folder, subset="both", **options)
    assert training.file_paths == from_directory(folder, subset="training", **options).file_paths
    assert validation.file_paths == from_directory(folder, subset="validation", **options).file_paths
    assert not set(training.file_paths) & set(validation.file_paths)
    assert training.is_shuffled
    assert not validation.is_shuffled


def test_a_batch_of_texts_is_a_list(folder):
    x, y = next(iter(from_directory(folder, batch_size=2, shuffle=False, verbose=False)))
    assert x == ["text of amber/Z.txt", "text of amber/a.txt"]
    assert y.tolist() == [0, 0]
    single = next(iter(from_directory(folder, labels=None, batch_size=None, shuffle=False, verbose=False)))
    assert single == "text of top.txt"


def test_texts_are_read_as_they_are_and_cut(tmp_path):
    (tmp_path / "a.txt").write_bytes("Größe\r\nund mehr".encode())
    assert from_directory(tmp_path, labels=None, verbose=False)[0] == "Größe\r\nund mehr"
    assert from_directory(tmp_path, labels=None, max_length=4, verbose=False)[0] == "Größ"
    (tmp_path / "b.txt").write_bytes(b"caf\xe9")
    dataset = from_directory(tmp_path, labels=None, shuffle=False, verbose=False)
    with pytest.raises(ValueError, match=r"b\.txt is no text in UTF-8"):
        dataset[1]


def test_texts_become_numbers_by_a_layer_that_was_adapted_to_them(folder):
    dataset = from_directory(folder, batch_size=3, seed=1, verbose=False)
    vectorize = kt.layers.TextVectorization(output_sequence_length=4)
    vectorize.adapt(dataset.map(lambda texts, y: texts))
    expected = kt.layers.TextVectorization(output_sequence_length=4)
    texts = [pathlib.Path(path).read_text() for path in dataset.file_paths]
    expected.adapt(texts)
    assert vectorize.get_vocabulary() == expected.get_vocabulary()
    numbers = dataset.map(lambda texts, y: (vectorize(texts), y))
    assert torch.equal(torch.stack([x for x, _ in map(numbers.__getitem__, range(8))]), expected(texts))

    kt.utils.set_random_seed(0)
    model = kt.Sequential(
        [kt.layers.Embedding(20, 4), kt.layers.GlobalAveragePooling1D(), kt.layers.Dense(3, activation="softmax")]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    history = model.fit(numbers, epochs=2, verbose=0)
    assert len(history.history["loss"]) == 2
    assert np.allclose(model.predict(numbers, verbose=0), model.predict(expected(texts), verbose=0), atol=1e-6)


def test_rows_padded_to_the_longest_text_of_a_batch_train(folder):
    vectorize = kt.layers.TextVectorization()
    dataset = from_directory(folder, batch_size=3, seed=1, verbose=False)
    vectorize.adapt(dataset.map(lambda texts, y: texts))
    (folder / "c c" / "long.txt").write_text("text of " * 30)
    dataset = from_directory(folder, batch_size=3, seed=1, verbose=False)
    numbers = dataset.map(lambda texts, y: (vectorize(texts), y))
    assert {x.shape[1] for x, _ in numbers} == {3, 4, 60}
    model = kt.Sequential(
        [kt.layers.Embedding(20, 4), kt.layers.GlobalAveragePooling1D(), kt.layers.Dense(3, activation="softmax")]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(numbers, verbose=0)


def classifier(*first):
    kt.utils.set_random_seed(0)
    pooled = [kt.layers.Embedding(20, 4), kt.layers.GlobalAveragePooling1D()]
    model = kt.Sequential([*first, *pooled, kt.layers.Dense(3, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def test_a_batch_of_texts_and_labels_is_an_input_and_a_target(folder):
    dataset = from_directory(folder, batch_size=3, seed=1, verbose=False)
    vectorize = kt.layers.TextVectorization(output_sequence_length=4)
    vectorize.adapt(dataset)
    numbers = dataset.map(lambda texts, y: (vectorize(texts), y))
    within = classifier(vectorize)
    within.fit(dataset, epochs=2, verbose=0)
    before = classifier()
    before.fit(numbers, epochs=2, verbose=0)
    assert within.evaluate(dataset, verbose=0) == before.evaluate(numbers, verbose=0)
    assert np.array_equal(within.predict(dataset, verbose=0), before.predict(numbers, verbose=0))


def test_texts_for_a_layer_of_numbers_are_answered_with_the_layer_that_turns_them_into_numbers(folder):
    with pytest.raises(
        TypeError, match=r"Embedding takes a tensor, got tuple\. TextVectorization turns texts into numbers"
    ):
        classifier().fit(from_directory(folder, verbose=False), verbose=0)


def test_a_folder_without_texts_says_so(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(ValueError, match=r"No text files found in directory .*\.txt"):
        from_directory(tmp_path, verbose=False)
