"""
Title: Classification of texts
"""

import keras
import numpy as np
from keras import layers, ops
from results import store

vocab_size, maxlen = 50, 12
rng = np.random.default_rng(0)
x_train = [list(rng.integers(1, vocab_size, rng.integers(3, 20))) for _ in range(24)]
y_train = np.arange(24) % 2

"""
## Pad the reviews
"""

x_train = keras.utils.pad_sequences(x_train, maxlen=maxlen)
store("padded", [list(x_train.shape), x_train[0].tolist()])

"""
## A bidirectional network
"""

inputs = keras.Input(shape=(None,), dtype="int32")
x = layers.Embedding(vocab_size, 16)(inputs)
x = layers.Bidirectional(layers.LSTM(8, return_sequences=True))(x)
x = layers.Bidirectional(layers.LSTM(8))(x)
outputs = layers.Dense(1, activation="sigmoid")(x)
model = keras.Model(inputs, outputs)
model.summary()
store("count", model.count_params())
model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
model.fit(x_train, y_train, batch_size=8, epochs=1, validation_data=(x_train, y_train), verbose=0)

"""
## A transformer
"""


class TransformerBlock(layers.Layer):
    def __init__(self, embed_dim, num_heads, ff_dim, rate=0.1):
        super().__init__()
        self.att = layers.MultiHeadAttention(num_heads=num_heads, key_dim=embed_dim)
        self.ffn = keras.Sequential([layers.Dense(ff_dim, activation="relu"), layers.Dense(embed_dim)])
        self.layernorm1 = layers.LayerNormalization(epsilon=1e-6)
        self.layernorm2 = layers.LayerNormalization(epsilon=1e-6)
        self.dropout1 = layers.Dropout(rate)
        self.dropout2 = layers.Dropout(rate)

    def call(self, inputs):
        attn_output = self.att(inputs, inputs)
        attn_output = self.dropout1(attn_output)
        out1 = self.layernorm1(inputs + attn_output)
        ffn_output = self.ffn(out1)
        ffn_output = self.dropout2(ffn_output)
        return self.layernorm2(out1 + ffn_output)


class TokenAndPositionEmbedding(layers.Layer):
    def __init__(self, maxlen, vocab_size, embed_dim):
        super().__init__()
        self.token_emb = layers.Embedding(input_dim=vocab_size, output_dim=embed_dim)
        self.pos_emb = layers.Embedding(input_dim=maxlen, output_dim=embed_dim)

    def call(self, x):
        maxlen = ops.shape(x)[-1]
        positions = ops.arange(start=0, stop=maxlen, step=1)
        positions = self.pos_emb(positions)
        x = self.token_emb(x)
        return x + positions


inputs = layers.Input(shape=(maxlen,))
x = TokenAndPositionEmbedding(maxlen, vocab_size, 8)(inputs)
x = TransformerBlock(8, 2, 8)(x)
x = layers.GlobalAveragePooling1D()(x)
x = layers.Dropout(0.1)(x)
x = layers.Dense(20, activation="relu")(x)
outputs = layers.Dense(2, activation="softmax")(x)
model = keras.Model(inputs=inputs, outputs=outputs)
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x_train, y_train, batch_size=8, epochs=1, validation_split=0.25, verbose=0)
store("transformer", model.count_params())

"""
## Attention with fixed weights
"""

query = np.linspace(-1, 1, 2 * 3 * 4, dtype="float32").reshape(2, 3, 4)
constant = keras.initializers.Constant(0.1)
attention = layers.MultiHeadAttention(num_heads=2, key_dim=3, kernel_initializer=constant)
store("attention", attention(query, query, use_causal_mask=True))
_, scores = attention(query, query, return_attention_scores=True)
store("scores", scores[0, 0])
store("attention without weights", layers.Attention()([query, query]))

"""
## From texts to tokens
"""

vectorizer = layers.TextVectorization(max_tokens=20, output_mode="int", output_sequence_length=6)
vectorizer.adapt(["the cat sat", "the dog sat on the mat", "a bird"])
store("vocabulary", sorted(vectorizer.get_vocabulary())[:6])
store("tokens", vectorizer(["the cat sat on", "the zebra"]))
