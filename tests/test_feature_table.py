"""Every feature of training, with every kind of data, eager and compiled, equals a loop of torch."""

import functools
import re
import warnings

import pytest
import torch
from support.feature_rows.data_kinds import KINDS, X, batches_of, make_model
from support.feature_rows.feature import EPOCHS
from support.feature_rows.features import FEATURES
from support.feature_rows.plain_loop import plain_loop

pytestmark = pytest.mark.filterwarnings("ignore:.*script_method.*:DeprecationWarning")

SLOWER = "a compiled step takes"  # the one sentence that depends on the machine


@functools.cache
def expected(name):
    """The module and the batches of the last epoch of the loop of torch."""
    feature = FEATURES[name]
    module = feature.net()
    weights = feature.weights if feature.loop_weights is None else feature.loop_weights
    batches = [(*batch, None)[:3] for batch in batches_of(X, feature.targets, weights)]
    return module, plain_loop(module, batches, EPOCHS, **feature.loop)


def compiled_model(feature, kind, **options):
    model = make_model(feature.net, feature.model_class, KINDS[kind])
    model.compile(**{"loss": "cross_entropy", **feature.compile(), **options})
    feature.prepare(model)
    return model


def fit(model, feature, kind):
    data = KINDS[kind].given(X, feature.targets, feature.weights)
    torch.manual_seed(1)
    return model.fit(**data, epochs=EPOCHS, verbose=0, **feature.fit()).history


def assert_same_training(model, history, name, rtol):
    module, seen = expected(name)
    for (path, weight), here in zip(module.named_parameters(), model.parameters(), strict=True):
        if rtol is None:
            assert torch.equal(here, weight), path
        else:
            torch.testing.assert_close(
                here, weight, rtol=rtol, atol=rtol, msg=lambda told, path=path: f"{path}: {told}"
            )
    for log, value in FEATURES[name].logs.items():
        assert history[log][-1] == pytest.approx(value(seen), rel=rtol or 1e-6), log


def refused(feature, kind, model):
    """Whether a combination is refused, which is checked."""
    if kind not in feature.refused:
        return False
    error, sentence = feature.refused[kind]
    with pytest.raises(error, match=re.escape(sentence)):
        fit(model, feature, kind)
    return True


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", FEATURES)
def test_training_equals_the_loop_of_torch(name, kind):
    feature = FEATURES[name]
    model = compiled_model(feature, kind)
    if not refused(feature, kind, model):
        assert_same_training(model, fit(model, feature, kind), name, feature.rtol)


def combinations_of_compiled_steps():
    """Compiling takes seconds, so those rows are tried by `make slow`; the others run uncompiled, with a sentence."""
    for name, feature in FEATURES.items():
        for kind in KINDS:
            is_fast = feature.uncompiled is not None or kind in feature.refused
            yield pytest.param(name, kind, id=f"{name}-{kind}", marks=[] if is_fast else pytest.mark.slow)


@pytest.mark.parametrize(("name", "kind"), list(combinations_of_compiled_steps()))
def test_compiled_training_equals_the_loop_of_torch_or_says_why_it_is_not_compiled(name, kind):
    feature = FEATURES[name]
    model = compiled_model(feature, kind, jit_compile=True)
    model.trainer.register_listener((said := []).append)
    if refused(feature, kind, model):
        return
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        history = fit(model, feature, kind)
    sentences = [str(one.message) for one in caught if SLOWER not in str(one.message)]
    sentences = [one for one in sentences if one.startswith("jit_compile")]
    n_compiled = sum(one.startswith("compiled the training step in") for one in said)
    if feature.uncompiled is None:
        assert not sentences
        assert n_compiled == feature.compilations
    else:
        assert [feature.uncompiled in one for one in sentences] == [True]
        assert n_compiled == 0
    assert_same_training(model, history, name, feature.compiled_rtol)
