# Title: temperatures, texts, and attention

import keras
import numpy as np
from keras import layers, ops
from results import store

rng = np.random.default_rng(0)

# Windows over a table of measurements

raw_data = rng.normal(size=(200, 4))
temperature = raw_data[:, 1]
mean = raw_data[:100].mean(axis=0)
std = raw_data[:100].std(axis=0)
raw_data = (raw_data - mean) / std
sampling_rate, sequence_length = 2, 6
delay = sampling_rate * (sequence_length + 3 - 1)
train_dataset = keras.utils.timeseries_dataset_from_array(
    raw_data[:-delay],
    targets=temperature[delay:],
    sampling_rate=sampling_rate,
    sequence_length=sequence_length,
    shuffle=True,
    batch_size=16,
    start_index=0,
    end_index=100,
)
val_dataset = keras.utils.timeseries_dataset_from_array(
    raw_data[:-delay],
    targets=temperature[delay:],
    sampling_rate=sampling_rate,
    sequence_length=sequence_length,
    shuffle=False,
    batch_size=16,
    start_index=100,
    end_index=150,
)
for samples, targets in train_dataset:
    store("batch", [list(samples.shape), list(targets.shape)])
    break

# A baseline by hand


def evaluate_naive_method(dataset):
    total_abs_err = 0.0
    samples_seen = 0
    for samples, targets in dataset:
        preds = np.asarray(samples)[:, -1, 1] * std[1] + mean[1]
        total_abs_err += np.sum(np.abs(preds - np.asarray(targets)))
        samples_seen += samples.shape[0]
    return total_abs_err / samples_seen


store("baseline", float(evaluate_naive_method(val_dataset)))

# A recurrent network with dropout

inputs = keras.Input(shape=(sequence_length, raw_data.shape[-1]))
x = layers.LSTM(8, recurrent_dropout=0.25)(inputs)
x = layers.Dropout(0.5)(x)
outputs = layers.Dense(1)(x)
model = keras.Model(inputs, outputs)
model.compile(optimizer="adam", loss="mse", metrics=["mae"])
callbacks = [keras.callbacks.ModelCheckpoint("lstm.keras", save_best_only=True)]
history = model.fit(train_dataset, epochs=1, validation_data=val_dataset, callbacks=callbacks, verbose=0)
model = keras.models.load_model("lstm.keras")
store("forecast", [model.count_params(), len(model.evaluate(val_dataset, verbose=0))])

# Reversed and in both directions

inputs = keras.Input(shape=(sequence_length, 4))
x = layers.Bidirectional(layers.LSTM(8))(inputs)
outputs = layers.Dense(1)(x)
model = keras.Model(inputs, outputs)
store("both", model.count_params())
inputs = keras.Input(shape=(sequence_length, 4))
x = layers.GRU(8, recurrent_dropout=0.5, return_sequences=True)(inputs)
x = layers.GRU(8, recurrent_dropout=0.5)(x)
x = layers.Dropout(0.5)(x)
model = keras.Model(inputs, layers.Dense(1)(x))
store("stacked", model.count_params())

# Tokens from texts

text_vectorization = layers.TextVectorization(output_mode="int")
dataset = ["I write, erase, rewrite", "Erase again, and then", "A poppy blooms."]
text_vectorization.adapt(dataset)
vocabulary = text_vectorization.get_vocabulary()
encoded_sentence = text_vectorization("I write, rewrite, and still rewrite again")
store("vocabulary", [len(vocabulary), vocabulary[:2]])
inverse_vocab = dict(enumerate(vocabulary))
store("decoded", " ".join(inverse_vocab[int(i)] for i in encoded_sentence))

# Bags of words and pairs of words

texts = ["the cat sat", "the dog sat down", "a cat", "the end"]
vectorizer = layers.TextVectorization(max_tokens=12, output_mode="multi_hot")
vectorizer.adapt(texts)
store("bags", np.asarray(vectorizer(texts)).sum(axis=1))
pairs = layers.TextVectorization(ngrams=2, max_tokens=30, output_mode="count")
pairs.adapt(texts)
store("pairs", np.asarray(pairs(texts)).sum(axis=1))
tf_idf = layers.TextVectorization(max_tokens=12, output_mode="tf_idf")
tf_idf.adapt(texts)
store("tf-idf", list(np.asarray(tf_idf(texts)).shape))

# A sentence classifier that ignores padding

max_length, max_tokens = 8, 20
inputs = keras.Input(shape=(None,), dtype="int64")
embedded = layers.Embedding(input_dim=max_tokens, output_dim=8, mask_zero=True)(inputs)
x = layers.Bidirectional(layers.LSTM(4))(embedded)
x = layers.Dropout(0.5)(x)
outputs = layers.Dense(1, activation="sigmoid")(x)
model = keras.Model(inputs, outputs)
model.compile(optimizer="rmsprop", loss="binary_crossentropy", metrics=["accuracy"])
tokens = rng.integers(1, max_tokens, (12, max_length))
tokens[:, 5:] = 0
model.fit(tokens, np.arange(12) % 2, epochs=1, verbose=0)
store("mask", bool(np.allclose(model.predict(tokens, verbose=0), model.predict(tokens[:, :5], verbose=0), atol=1e-5)))

# An encoder with attention


class TransformerEncoder(layers.Layer):
    def __init__(self, embed_dim, dense_dim, num_heads, **kwargs):
        super().__init__(**kwargs)
        self.embed_dim = embed_dim
        self.dense_dim = dense_dim
        self.num_heads = num_heads
        self.attention = layers.MultiHeadAttention(num_heads=num_heads, key_dim=embed_dim)
        self.dense_proj = keras.Sequential([layers.Dense(dense_dim, activation="relu"), layers.Dense(embed_dim)])
        self.layernorm_1 = layers.LayerNormalization()
        self.layernorm_2 = layers.LayerNormalization()

    def call(self, inputs, mask=None):
        if mask is not None:
            mask = mask[:, None, :]
        attention_output = self.attention(inputs, inputs, attention_mask=mask)
        proj_input = self.layernorm_1(inputs + attention_output)
        proj_output = self.dense_proj(proj_input)
        return self.layernorm_2(proj_input + proj_output)

    def get_config(self):
        config = super().get_config()
        config.update({"embed_dim": self.embed_dim, "num_heads": self.num_heads, "dense_dim": self.dense_dim})
        return config


class PositionalEmbedding(layers.Layer):
    def __init__(self, sequence_length, input_dim, output_dim, **kwargs):
        super().__init__(**kwargs)
        self.token_embeddings = layers.Embedding(input_dim=input_dim, output_dim=output_dim)
        self.position_embeddings = layers.Embedding(input_dim=sequence_length, output_dim=output_dim)
        self.sequence_length = sequence_length
        self.input_dim = input_dim
        self.output_dim = output_dim

    def call(self, inputs):
        length = ops.shape(inputs)[-1]
        positions = ops.arange(0, length, 1)
        embedded_tokens = self.token_embeddings(inputs)
        embedded_positions = self.position_embeddings(positions)
        return embedded_tokens + embedded_positions

    def compute_mask(self, inputs, mask=None):
        return ops.not_equal(inputs, 0)

    def get_config(self):
        config = super().get_config()
        config.update(
            {"output_dim": self.output_dim, "sequence_length": self.sequence_length, "input_dim": self.input_dim}
        )
        return config


inputs = keras.Input(shape=(None,), dtype="int64")
x = PositionalEmbedding(max_length, max_tokens, 8)(inputs)
x = TransformerEncoder(8, 16, 2)(x)
x = layers.GlobalMaxPooling1D()(x)
x = layers.Dropout(0.5)(x)
outputs = layers.Dense(1, activation="sigmoid")(x)
model = keras.Model(inputs, outputs)
model.compile(optimizer="rmsprop", loss="binary_crossentropy", metrics=["accuracy"])
callbacks = [keras.callbacks.ModelCheckpoint("full_transformer_encoder.keras", save_best_only=True)]
model.fit(
    tokens, np.arange(12) % 2, validation_data=(tokens, np.arange(12) % 2), epochs=1, callbacks=callbacks, verbose=0
)
model = keras.models.load_model(
    "full_transformer_encoder.keras",
    custom_objects={"TransformerEncoder": TransformerEncoder, "PositionalEmbedding": PositionalEmbedding},
)
store("encoder", [model.count_params(), len(model.evaluate(tokens, np.arange(12) % 2, verbose=0))])

# A translation model


class TransformerDecoder(layers.Layer):
    def __init__(self, embed_dim, dense_dim, num_heads, **kwargs):
        super().__init__(**kwargs)
        self.embed_dim, self.dense_dim, self.num_heads = embed_dim, dense_dim, num_heads
        self.attention_1 = layers.MultiHeadAttention(num_heads=num_heads, key_dim=embed_dim)
        self.attention_2 = layers.MultiHeadAttention(num_heads=num_heads, key_dim=embed_dim)
        self.dense_proj = keras.Sequential([layers.Dense(dense_dim, activation="relu"), layers.Dense(embed_dim)])
        self.layernorm_1 = layers.LayerNormalization()
        self.layernorm_2 = layers.LayerNormalization()
        self.layernorm_3 = layers.LayerNormalization()
        self.supports_masking = True

    def call(self, inputs, encoder_outputs):
        out_1 = self.layernorm_1(inputs + self.attention_1(inputs, inputs, use_causal_mask=True))
        attended = self.attention_2(query=out_1, value=encoder_outputs, key=encoder_outputs)
        out_2 = self.layernorm_2(out_1 + attended)
        return self.layernorm_3(out_2 + self.dense_proj(out_2))


encoder_inputs = keras.Input(shape=(None,), dtype="int64", name="english")
x = PositionalEmbedding(max_length, max_tokens, 8)(encoder_inputs)
encoder_outputs = TransformerEncoder(8, 16, 2)(x)
decoder_inputs = keras.Input(shape=(None,), dtype="int64", name="spanish")
x = PositionalEmbedding(max_length, max_tokens, 8)(decoder_inputs)
x = TransformerDecoder(8, 16, 2)(x, encoder_outputs)
x = layers.Dropout(0.5)(x)
decoder_outputs = layers.Dense(max_tokens, activation="softmax")(x)
transformer = keras.Model([encoder_inputs, decoder_inputs], decoder_outputs)
transformer.compile(optimizer="rmsprop", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
transformer.fit({"english": tokens, "spanish": tokens[:, :-1]}, tokens[:, 1:], epochs=1, batch_size=4, verbose=0)
store("transformer", transformer.count_params())
prediction = transformer.predict([tokens[:1], tokens[:1, :3]], verbose=0)
store("next", prediction.shape)
