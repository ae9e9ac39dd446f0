"""
Title: From sequences to sequences
"""

import keras
import numpy as np
from keras import layers, ops
from results import store

"""
## Sums of digits: one-hot vectors of bools
"""

chars = "0123456789+ "
digits, maxlen = 2, 5
questions, expected = [], []
rng = np.random.default_rng(0)
for _ in range(64):
    a, b = rng.integers(0, 99, 2)
    questions.append(f"{a}+{b}".ljust(maxlen))
    expected.append(str(a + b).ljust(digits + 1))
x = np.zeros((len(questions), maxlen, len(chars)), dtype=bool)
y = np.zeros((len(questions), digits + 1, len(chars)), dtype=bool)
for i, sentence in enumerate(questions):
    for t, char in enumerate(sentence):
        x[i, t, chars.index(char)] = 1
for i, sentence in enumerate(expected):
    for t, char in enumerate(sentence):
        y[i, t, chars.index(char)] = 1
model = keras.Sequential()
model.add(layers.Input((maxlen, len(chars))))
model.add(layers.LSTM(16))
model.add(layers.RepeatVector(digits + 1))
model.add(layers.LSTM(16, return_sequences=True))
model.add(layers.Dense(len(chars), activation="softmax"))
model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
model.fit(x, y, batch_size=32, epochs=1, validation_data=(x[:8], y[:8]), verbose=0)
preds = np.argmax(model.predict(x[:2], verbose=0), axis=-1)
store("addition", [model.count_params(), preds.shape])

"""
## Translation of characters
"""

num_encoder_tokens, num_decoder_tokens, latent_dim = 10, 12, 8
encoder_inputs = keras.Input(shape=(None, num_encoder_tokens))
encoder = keras.layers.LSTM(latent_dim, return_state=True)
encoder_outputs, state_h, state_c = encoder(encoder_inputs)
encoder_states = [state_h, state_c]
decoder_inputs = keras.Input(shape=(None, num_decoder_tokens))
decoder_lstm = keras.layers.LSTM(latent_dim, return_sequences=True, return_state=True)
decoder_outputs, _, _ = decoder_lstm(decoder_inputs, initial_state=encoder_states)
decoder_dense = keras.layers.Dense(num_decoder_tokens, activation="softmax")
decoder_outputs = decoder_dense(decoder_outputs)
model = keras.Model([encoder_inputs, decoder_inputs], decoder_outputs)
model.compile(optimizer="rmsprop", loss="categorical_crossentropy", metrics=["accuracy"])
source = np.eye(num_encoder_tokens, dtype="float32")[rng.integers(0, num_encoder_tokens, (8, 6))]
target = np.eye(num_decoder_tokens, dtype="float32")[rng.integers(0, num_decoder_tokens, (8, 7))]
model.fit([source, target], target, batch_size=4, epochs=1, validation_split=0.25, verbose=0)
model.save("s2s_model.keras")
store("translation", model.count_params())

"""
## Inference with parts of the loaded model
"""

model = keras.models.load_model("s2s_model.keras")
store("layers", [type(layer).__name__ for layer in model.layers])
encoder_inputs = model.input[0]
encoder_outputs, state_h_enc, state_c_enc = model.layers[2].output
encoder_model = keras.Model(encoder_inputs, [state_h_enc, state_c_enc])
decoder_inputs = model.input[1]
decoder_state_input_h = keras.Input(shape=(latent_dim,))
decoder_state_input_c = keras.Input(shape=(latent_dim,))
decoder_states_inputs = [decoder_state_input_h, decoder_state_input_c]
decoder_lstm = model.layers[3]
decoder_outputs, state_h_dec, state_c_dec = decoder_lstm(decoder_inputs, initial_state=decoder_states_inputs)
decoder_states = [state_h_dec, state_c_dec]
decoder_dense = model.layers[4]
decoder_outputs = decoder_dense(decoder_outputs)
decoder_model = keras.Model([decoder_inputs] + decoder_states_inputs, [decoder_outputs] + decoder_states)
states_value = encoder_model.predict(source[:1], verbose=0)
output_tokens, h, c = decoder_model.predict([target[:1, :1]] + states_value, verbose=0)
store("step", [list(output_tokens.shape), list(h.shape)])

"""
## A small language model
"""

vocab_size, maxlen, embed_dim = 40, 10, 8


def causal_attention_mask(batch_size, n_dest, n_src, dtype):
    i = ops.arange(n_dest)[:, None]
    j = ops.arange(n_src)
    m = i >= j - n_src + n_dest
    mask = ops.cast(m, dtype)
    mask = ops.reshape(mask, [1, n_dest, n_src])
    mult = ops.concatenate([ops.expand_dims(batch_size, -1), ops.convert_to_tensor([1, 1])], 0)
    return ops.tile(mask, mult)


store("causal mask", causal_attention_mask(2, 3, 3, "bool"))


class TransformerBlock(layers.Layer):
    def __init__(self, embed_dim, num_heads, ff_dim, rate=0.1):
        super().__init__()
        self.att = layers.MultiHeadAttention(num_heads, embed_dim)
        self.ffn = keras.Sequential([layers.Dense(ff_dim, activation="relu"), layers.Dense(embed_dim)])
        self.layernorm1 = layers.LayerNormalization(epsilon=1e-6)
        self.layernorm2 = layers.LayerNormalization(epsilon=1e-6)
        self.dropout1 = layers.Dropout(rate)

    def call(self, inputs):
        input_shape = ops.shape(inputs)
        batch_size = input_shape[0]
        seq_len = input_shape[1]
        causal_mask = causal_attention_mask(batch_size, seq_len, seq_len, "bool")
        attention_output = self.att(inputs, inputs, attention_mask=causal_mask)
        attention_output = self.dropout1(attention_output)
        out1 = self.layernorm1(inputs + attention_output)
        return self.layernorm2(out1 + self.ffn(out1))


class TokenAndPositionEmbedding(layers.Layer):
    def __init__(self, maxlen, vocab_size, embed_dim):
        super().__init__()
        self.token_emb = layers.Embedding(input_dim=vocab_size, output_dim=embed_dim)
        self.pos_emb = layers.Embedding(input_dim=maxlen, output_dim=embed_dim)

    def call(self, x):
        maxlen = ops.shape(x)[-1]
        positions = ops.arange(0, maxlen, 1)
        return self.token_emb(x) + self.pos_emb(positions)


"""
## Two outputs, a loss for the first alone
"""


def create_model():
    inputs = layers.Input(shape=(maxlen,), dtype="int32")
    x = TokenAndPositionEmbedding(maxlen, vocab_size, embed_dim)(inputs)
    x = TransformerBlock(embed_dim, 2, 16)(x)
    outputs = layers.Dense(vocab_size)(x)
    model = keras.Model(inputs=inputs, outputs=[outputs, x])
    loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss=[loss_fn, None])
    return model


model = create_model()
tokens = rng.integers(0, vocab_size, (8, maxlen + 1))
history = model.fit(tokens[:, :-1], tokens[:, 1:], verbose=0, epochs=1)
store("miniature", [model.count_params(), len(history.history["loss"])])

"""
## Generate text while it trains
"""


class TextGenerator(keras.callbacks.Callback):
    def __init__(self, max_tokens, start_tokens, top_k=10):
        super().__init__()
        self.max_tokens = max_tokens
        self.start_tokens = start_tokens
        self.k = top_k
        self.texts = []

    def sample_from(self, logits):
        logits, indices = ops.top_k(logits, k=self.k, sorted=True)
        indices = np.asarray(indices).astype("int32")
        preds = keras.activations.softmax(ops.expand_dims(logits, 0))[0]
        preds = np.asarray(preds).astype("float32")
        return np.random.choice(indices, p=preds / preds.sum())

    def on_epoch_end(self, epoch, logs=None):
        start_tokens = [_ for _ in self.start_tokens]
        generated = []
        while len(generated) <= self.max_tokens:
            pad_len = maxlen - len(start_tokens)
            sample_index = len(start_tokens) - 1
            x = np.array([start_tokens + [0] * pad_len])
            y, _ = self.model.predict(x, verbose=0)
            sample_token = self.sample_from(y[0][sample_index])
            generated.append(sample_token)
            start_tokens.append(sample_token)
        self.texts.append(generated)


generator = TextGenerator(4, [1, 2])
model.fit(tokens[:, :-1], tokens[:, 1:], verbose=0, epochs=2, callbacks=[generator])
store("texts", [len(text) for text in generator.texts])
