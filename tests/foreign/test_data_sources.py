"""Tables, columns and files of other packages: they train as the NumPy array with the same rows."""

import numpy as np
import pytest
import torch
from torch import nn

import kerastorch as kt
from kerastorch.data import lazy_arrays, permutation

pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")
pd = pytest.importorskip("pandas")
h5py = pytest.importorskip("h5py")
zarr = pytest.importorskip("zarr")
safetensors = pytest.importorskip("safetensors")
datasets = pytest.importorskip("datasets")
safetensors_numpy = pytest.importorskip("safetensors.numpy")

pytestmark = pytest.mark.filterwarnings("ignore:a batch is a dict. 'label' is taken as the target:UserWarning")
X = np.random.default_rng(0).normal(size=(90, 4)).astype("float32")
Y = np.random.default_rng(1).integers(0, 3, 90)
FRAME = pd.DataFrame(X, columns=list("abcd"))
POLARS = pl.DataFrame(X, schema=list("abcd"))
TEXT = ["u", "v", "w"] * 30


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(4, 3)

    def forward(self, values):
        return self.head(values)


def make_model():
    torch.manual_seed(0)
    net = Net()
    model = kt.Model(net)
    model.compile(torch.optim.SGD(net.parameters(), 0.1), "cross_entropy")
    return model


def weights_of_hand_loop(shuffled=True):
    torch.manual_seed(0)
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    x, y = torch.from_numpy(X), torch.from_numpy(Y)
    for epoch in range(2):
        order = permutation(90, torch.initial_seed(), epoch) if shuffled else torch.arange(90)
        for rows in order.split(16):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
            optimizer.step()
    return list(net.parameters())


def check(x, y, shuffled=True):
    model = make_model()
    model.fit(x, y, batch_size=16, epochs=2, verbose=0)
    expected = weights_of_hand_loop(shuffled)
    assert all(map(torch.equal, model.parameters(), expected))
    with torch.no_grad():
        outputs = model(torch.from_numpy(X))
    np.testing.assert_allclose(model.predict(x, verbose=0), outputs, rtol=1e-5, atol=1e-6)
    loss = nn.functional.cross_entropy(outputs, torch.from_numpy(Y)).item()
    assert model.evaluate(x, y, verbose=0) == pytest.approx(loss, rel=1e-5)


def hf_dataset():
    return datasets.Dataset.from_dict({"values": X.tolist(), "label": Y.tolist()})


def features_as_arrays():
    features = datasets.Features(
        {"values": datasets.List(datasets.Value("float32"), length=4), "label": datasets.Value("int64")}
    )
    return datasets.Dataset.from_dict({"values": X.tolist(), "label": Y.tolist()}, features=features)


PAIRS = {
    "polars": lambda: (POLARS, pl.Series(Y)),
    "polars, y as a table": lambda: (POLARS, pl.DataFrame({"y": Y})),
    "polars, a wider column": lambda: (POLARS.with_columns(pl.col("a").cast(pl.Float64)), pl.Series(Y)),
    "polars column of arrays": lambda: (pl.Series(X.tolist(), dtype=pl.Array(pl.Float32, 4)), Y),
    "polars column of lists": lambda: (pl.Series(X.tolist()), Y),
    "polars by input": lambda: ({"values": POLARS}, Y),
    "pandas with dtypes of pyarrow": lambda: (FRAME.astype("float[pyarrow]"), pd.Series(Y).astype("int64[pyarrow]")),
    "pandas with nullable dtypes": lambda: (FRAME.astype("Float32"), pd.Series(Y).astype("Int64")),
    "pyarrow": lambda: (pa.Table.from_pandas(FRAME), pa.array(Y)),
    "pyarrow, y in chunks": lambda: (pa.Table.from_pandas(FRAME), pa.chunked_array([Y[:50], Y[50:]])),
    "columns of a dataset": lambda: (hf_dataset()["values"], hf_dataset()["label"]),
    "columns with features": lambda: (features_as_arrays()["values"], features_as_arrays()["label"]),
    "columns of tensors": lambda: (hf_dataset().with_format("torch")["values"], hf_dataset()["label"]),
    "columns of arrays": lambda: (hf_dataset().with_format("numpy")["values"], hf_dataset()["label"]),
}


@pytest.mark.parametrize("kind", PAIRS)
def test_tables_and_columns_train_as_a_loop_over_their_rows(kind):
    check(*PAIRS[kind]())


@pytest.mark.parametrize("form", [None, "torch", "numpy"])
def test_a_dataset_of_hugging_face_trains_on_its_rows(form):
    data = hf_dataset() if form is None else hf_dataset().with_format(form)
    if form == "numpy":
        data = data.cast_column("values", datasets.List(datasets.Value("float32")))
    check(data, None)


def test_a_dataset_of_hugging_face_is_read_by_workers():
    model = make_model()
    model.fit(hf_dataset(), batch_size=16, epochs=2, workers=1, verbose=0)
    assert all(map(torch.equal, model.parameters(), weights_of_hand_loop()))


def test_a_stream_of_hugging_face_trains_in_its_order():
    check(hf_dataset().to_iterable_dataset(), None, shuffled=False)


def test_a_dataset_of_hugging_face_resumes_exactly(tmp_path):
    class Stop(kt.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 3:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_model().fit(hf_dataset(), batch_size=16, epochs=2, verbose=0, resume=tmp_path, callbacks=[Stop()])
    model = make_model()
    model.fit(hf_dataset(), batch_size=16, epochs=2, verbose=0, resume=tmp_path)
    assert all(map(torch.equal, model.parameters(), weights_of_hand_loop()))


REFUSED = {
    "text in polars": lambda: (POLARS.with_columns(pl.Series("city", TEXT)), Y, "x column 'city' has dtype String"),
    "categories": lambda: (
        POLARS.with_columns(pl.Series("city", TEXT, dtype=pl.Categorical)), Y, "x column 'city' has dtype Categorical",
    ),
    "a date": lambda: (
        POLARS.with_columns(pl.lit(1).cast(pl.Date).alias("day")), Y, "x column 'day' has dtype Date; encode it",
    ),
    "a missing value": lambda: (POLARS.with_columns(pl.Series("b", [None] + [1] * 89)), Y, "row 0, column 1"),
    "a missing value in pandas": lambda: (
        FRAME.drop(index=3).reindex(FRAME.index).astype("Float32"), Y, "first at row 3",
    ),
    "a lazy frame": lambda: (POLARS.lazy(), Y, r"Pass x\.collect\(\)"),
    "text in y of polars": lambda: (POLARS, pl.Series("kind", TEXT), "y column 'kind' .*numpy.unique"),
    "text in pandas": lambda: (FRAME.assign(city=TEXT), Y, "x column 'city' .*StringLookup"),
    "text in y of pandas": lambda: (FRAME, pd.Series(TEXT, name="kind"), "y column 'kind' .*numpy.unique"),
    "text in pyarrow": lambda: (pa.Table.from_pandas(FRAME.assign(city=TEXT)), Y, "x column 'city' .*StringLookup"),
    "text in a column": lambda: (X, datasets.Dataset.from_dict({"kind": TEXT})["kind"], "y column 'kind' .*unique"),
    "lists of different lengths": lambda: (
        datasets.Dataset.from_dict({"values": [[1.0] * (3 + row % 2) for row in range(90)]})["values"], Y,
        "x column 'values' has lists of 3 to 4 values. Pad them",
    ),
    "rows of different lengths": lambda: (
        datasets.Dataset.from_dict({"values": [[1.0] * (3 + row % 2) for row in range(90)], "label": Y.tolist()}), None,
        r"'values' has the shapes \(4,\) and \(3,\)|'values' has the shapes \(3,\) and \(4,\)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_table_of_numbers_is_refused_by_the_name_of_its_column(kind):
    x, y, words = REFUSED[kind]()
    with pytest.raises((TypeError, ValueError), match=words):
        make_model().fit(x, y, verbose=0)


def test_columns_in_another_order_are_refused_in_polars_and_pyarrow():
    for table in (POLARS, pa.Table.from_pandas(FRAME)):
        model = make_model()
        model.fit(table, Y, verbose=0)
        with pytest.raises(ValueError, match="columns"):
            model.predict(table.select(["b", "a", "c", "d"]), verbose=0)


def in_h5py(path):
    with h5py.File(path / "x.h5", "w") as file:
        file.create_dataset("x", data=X, chunks=(16, 4), compression="gzip")
    return h5py.File(path / "x.h5")["x"]


def in_zarr(path):
    array = zarr.create_array(path / "x.zarr", shape=X.shape, chunks=(16, 4), dtype=X.dtype)
    array[:] = X
    return array


def in_safetensors(path, framework):
    safetensors_numpy.save_file({"x": X}, path / "x.safetensors")
    return safetensors.safe_open(path / "x.safetensors", framework).get_slice("x")


FILES = {
    "h5py": in_h5py,
    "zarr": in_zarr,
    "safetensors": lambda path: in_safetensors(path, "numpy"),
    "safetensors of torch": lambda path: in_safetensors(path, "pt"),
}


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("is_large", [True, False])
def test_arrays_in_files_train_as_a_loop_over_their_rows(kind, is_large, tmp_path, monkeypatch):
    if is_large:
        monkeypatch.setattr(lazy_arrays, "MAX_COPY_BYTES", 100)
    check(FILES[kind](tmp_path), Y)


def test_predictions_are_written_into_a_file_of_h5py(tmp_path, monkeypatch):
    monkeypatch.setattr(lazy_arrays, "MAX_COPY_BYTES", 100)
    model = make_model()
    with h5py.File(tmp_path / "out.h5", "w") as file:
        out = file.create_dataset("out", (90, 3), "float32")
        model.predict(in_h5py(tmp_path), verbose=0, out=out)
        with torch.no_grad():
            np.testing.assert_allclose(out[:], model(torch.from_numpy(X)), rtol=1e-5, atol=1e-6)
