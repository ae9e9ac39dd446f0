"""Models of Hugging Face with small random configurations, and the batches that their collators make."""

import pytest
import torch
from support.foreign_case import CompiledStepsCase, accuracy, assert_same_state
from support.hugging_face import SMALL, WORDS, BertCase, HuggingFaceCase, token_rows, tokenizer

transformers = pytest.importorskip("transformers", reason="transformers is not installed: make test-foreign")


class TestBert(BertCase, CompiledStepsCase):
    skips = {}
    compile_args = {"loss": "model", "metrics": ["accuracy"]}

    def hand_scores(self, net, batches):
        logits = [net(**batch).logits for batch in batches]
        return {"accuracy": accuracy(logits, [batch["labels"] for batch in batches])}


def test_the_loss_of_the_model_is_used_and_said_once_if_there_is_no_other():
    case = TestBert()
    with pytest.warns(UserWarning, match="the loss that the model returns is used") as found:
        net, model, history = case.fit(loss=None)
    assert len(found) == 1
    model.evaluate(case.loader(False), verbose=0)  # a second warning would be an error
    expected, losses = case.hand_fit()
    assert_same_state(net, expected)
    assert history["loss"] == pytest.approx(losses, rel=1e-5)


class TestBertWithALossOfTheUser(BertCase):
    """A loss by name is computed from the logits, and is the one that the model has inside."""

    compile_args = {"loss": "cross_entropy", "metrics": ["accuracy"]}
    hand_scores = TestBert.hand_scores


class TestBertWithCheckpointedGradients(BertCase):
    def make(self):
        net = super().make()
        net.gradient_checkpointing_enable()
        return net


class TestBertWithAFrozenBackbone(BertCase):
    def make(self):
        net = super().make()
        net.bert.requires_grad_(False)
        return net


class TestTokenClassification(HuggingFaceCase):
    """Batches are padded to their longest row, and the places of the padding have the label -100."""

    compile_args = {"loss": "model", "metrics": ["accuracy"]}

    def make(self):
        sizes = {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 32}
        config = transformers.DistilBertConfig(vocab_size=WORDS, max_position_embeddings=16, num_labels=4, **sizes)
        return transformers.DistilBertForTokenClassification(config)

    def samples(self):
        return [{"input_ids": row, "labels": [token % 4 for token in row]} for row in token_rows()]

    def collator(self):
        return transformers.DataCollatorForTokenClassification(tokenizer())

    def hand_scores(self, net, batches):
        logits = [net(**batch).logits for batch in batches]
        return {"accuracy": accuracy(logits, [batch["labels"] for batch in batches])}


class TestGPT2(HuggingFaceCase):
    """The configuration keeps the cache, as it does by default."""

    def make(self):
        sizes = {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 16}
        ends = {"bos_token_id": 1, "eos_token_id": 1}
        return transformers.GPT2LMHeadModel(transformers.GPT2Config(vocab_size=WORDS, **sizes, **ends))

    def samples(self):
        return [{"input_ids": row} for row in token_rows()]

    def collator(self):
        return transformers.DataCollatorForLanguageModeling(tokenizer(), mlm=False)

    def export_call(self, batch):
        return (batch["input_ids"],), {"attention_mask": batch["attention_mask"]}


class TestT5(HuggingFaceCase):
    def make(self):
        sizes = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2}
        config = transformers.T5Config(vocab_size=WORDS, decoder_start_token_id=0, pad_token_id=0, **sizes)
        return transformers.T5ForConditionalGeneration(config)

    def samples(self):
        return [{"input_ids": row, "labels": row[::-1]} for row in token_rows()]

    def collator(self):
        return transformers.DataCollatorForSeq2Seq(tokenizer())

    def hand_outputs(self, net, batch):
        outputs = net(**batch)
        return {"logits": outputs.logits, "encoder_last_hidden_state": outputs.encoder_last_hidden_state}

    def export_signature(self, batch):
        """The decoder reads the labels, so that they are inputs of the program."""
        return dict(batch)

    def export_call(self, batch):
        inputs = dict(batch)
        labels = inputs.pop("labels")
        return tuple(inputs.values()), {"labels": labels}


class TestViT(HuggingFaceCase):
    compile_args = {"loss": "model", "metrics": ["accuracy"]}

    def make(self):
        config = transformers.ViTConfig(image_size=8, patch_size=4, num_channels=3, num_labels=3, **SMALL)
        return transformers.ViTForImageClassification(config)

    def samples(self):
        images = torch.randn(26, 3, 8, 8, generator=torch.Generator().manual_seed(3))
        return [{"pixel_values": image, "label": at % 3} for at, image in enumerate(images)]

    def collator(self):
        return transformers.default_data_collator

    hand_scores = TestBert.hand_scores


class TestWhisper(HuggingFaceCase):
    """Speech to text: spectrograms, and labels that the decoder shifts itself."""

    def make(self):
        sizes = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2}
        more = {"decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "num_mel_bins": 8}
        ends = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 1, "decoder_start_token_id": 1}
        lengths = {"max_source_positions": 10, "max_target_positions": 16}
        config = transformers.WhisperConfig(vocab_size=WORDS, **sizes, **more, **ends, **lengths)
        return transformers.WhisperForConditionalGeneration(config)

    def samples(self):
        generator = torch.Generator().manual_seed(3)
        spectrograms = torch.randn(20, 8, 20, generator=generator)
        words = torch.randint(2, WORDS, (20, 6), generator=generator)
        return [{"input_features": a, "labels": b} for a, b in zip(spectrograms, words, strict=True)]

    def collator(self):
        return transformers.default_data_collator

    hand_outputs = TestT5.hand_outputs
    export_signature = TestT5.export_signature
    export_call = TestT5.export_call
