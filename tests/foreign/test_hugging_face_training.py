"""Adapters, schedules and datasets of Hugging Face."""

import pytest
import torch
from support.foreign_case import assert_same_state
from support.hugging_face import WORDS, BertCase, token_rows
from torch.utils.data import DataLoader

import kerastorch as kt

transformers = pytest.importorskip("transformers", reason="transformers is not installed: make test-foreign")
peft = pytest.importorskip("peft", reason="peft is not installed: make test-foreign")
datasets = pytest.importorskip("datasets", reason="datasets is not installed: make test-foreign")


class TestBertWithLoRA(BertCase):
    compile_args = {"loss": "model", "metrics": ["accuracy"]}

    def make(self):
        settings = peft.LoraConfig(task_type="SEQ_CLS", r=2, lora_dropout=0.1, target_modules=["query", "value"])
        return peft.get_peft_model(super().make(), settings)

    def hand_scores(self, net, batches):
        labels = torch.cat([batch["labels"] for batch in batches])
        predicted = torch.cat([net(**batch).logits for batch in batches]).argmax(1)
        return {"accuracy": (predicted == labels).double().mean().item()}

    def test_the_adapter_alone_is_saved_and_loaded(self, tmp_path):
        net, model, _ = self.fit()
        net.save_pretrained(tmp_path)
        kt.utils.set_random_seed(1)
        again = peft.PeftModel.from_pretrained(super().make(), tmp_path)
        assert_same_state(again, net)
        expected = model.predict(self.loader(False), verbose=0)["logits"]
        assert (kt.Model(again).predict(self.loader(False), verbose=0)["logits"] == expected).all()


class TestBertWithLinearWarmup(BertCase):
    def scheduler(self, optimizer):
        return transformers.get_linear_schedule_with_warmup(optimizer, 2, 10)


def table():
    """Return a dataset of rows of one length, as `datasets` stores them."""
    rows = [(row * 3)[:9] for row in token_rows()]
    return datasets.Dataset.from_dict({"input_ids": rows, "labels": [row[0] % 3 for row in rows]})


class TestTableOfDatasets(BertCase):
    def loader(self, shuffle):
        generator = torch.Generator().manual_seed(5)
        return DataLoader(table().with_format("torch"), 8, shuffle, generator=generator)


class TestStreamOfDatasets(BertCase):
    def loader(self, shuffle):
        return DataLoader(table().to_iterable_dataset().with_format("torch"), 8)


def test_the_rows_of_a_table_are_batched_by_fit():
    def trained(fit):
        kt.utils.set_random_seed(1)
        net = transformers.BertForSequenceClassification(bert())
        model = kt.Model(net)
        model.compile(torch.optim.SGD(net.parameters(), 0.1), loss="model")
        kt.utils.set_random_seed(2)
        fit(model)
        return net

    def bert():
        return BertCase().make().config

    rows = table().with_format("torch")
    whole = trained(lambda model: model.fit(rows, batch_size=8, shuffle=False, verbose=0))
    loaded = trained(lambda model: model.fit(DataLoader(rows, 8, generator=torch.Generator()), verbose=0))
    assert whole.config.vocab_size == WORDS
    assert_same_state(whole, loaded)
