"""Layers of a script's own, in the idiom of Keras' guides, for Keras itself and for `kerastorch.keras`."""

import functools


@functools.cache
def own_layers(keras):
    """Return the classes by name, written with the package that is given."""
    found = {}
    for make in (_patches, _texts, _small):
        found |= {one.__name__: one for one in make(keras)}
    return found


def _patches(keras):
    layers, ops = keras.layers, keras.ops

    class Patches(layers.Layer):
        """Cut images into patches, one row each."""

        def __init__(self, patch_size, **kwargs):
            super().__init__(**kwargs)
            self.patch_size = patch_size

        def call(self, images):
            _, height, width, channels = ops.shape(images)
            rows, columns, size = height // self.patch_size, width // self.patch_size, self.patch_size
            x = ops.reshape(images, (-1, rows, size, columns, size, channels))
            return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, rows * columns, size * size * channels))

        def get_config(self):
            return {**super().get_config(), "patch_size": self.patch_size}

    class PatchEncoder(layers.Layer):
        """Project patches and add an embedding of their positions."""

        def __init__(self, num_patches, projection_dim, **kwargs):
            super().__init__(**kwargs)
            self.num_patches, self.projection_dim = num_patches, projection_dim
            self.projection = layers.Dense(units=projection_dim)
            self.position_embedding = layers.Embedding(input_dim=num_patches, output_dim=projection_dim)

        def call(self, patch):
            positions = ops.expand_dims(ops.arange(start=0, stop=self.num_patches, step=1), axis=0)
            return self.projection(patch) + self.position_embedding(positions)

        def get_config(self):
            held = {"num_patches": self.num_patches, "projection_dim": self.projection_dim}
            return {**super().get_config(), **held}

    class MLPMixerLayer(layers.Layer):
        """Mix patches, then channels, each by a chain of layers."""

        def __init__(self, num_patches, hidden_units, **kwargs):
            super().__init__(**kwargs)
            self.num_patches, self.hidden_units = num_patches, hidden_units
            self.mlp1 = keras.Sequential([layers.Dense(num_patches, activation="gelu"), layers.Dense(num_patches)])
            self.mlp2 = keras.Sequential([layers.Dense(hidden_units, activation="gelu"), layers.Dense(hidden_units)])
            self.normalize = layers.LayerNormalization(epsilon=1e-6)

        def build(self, input_shape):
            self.mlp1.build((None, input_shape[-1], self.num_patches))
            self.mlp2.build(input_shape)
            self.normalize.build(input_shape)
            self.built = True

        def call(self, inputs):
            x = ops.transpose(self.normalize(inputs), (0, 2, 1))
            x = ops.transpose(self.mlp1(x), (0, 2, 1)) + inputs
            return x + self.mlp2(self.normalize(x))

        def get_config(self):
            return {**super().get_config(), "num_patches": self.num_patches, "hidden_units": self.hidden_units}

    class StochasticDepth(layers.Layer):
        """Drop the whole branch of a row at random in training."""

        def __init__(self, drop_prob, **kwargs):
            super().__init__(**kwargs)
            self.drop_prob = drop_prob
            self.seed_generator = keras.random.SeedGenerator(1337)

        def call(self, x, training=None):
            if not training:
                return x
            keep = 1 - self.drop_prob
            shape = (ops.shape(x)[0],) + (1,) * (len(x.shape) - 1)
            return x / keep * ops.floor(keep + keras.random.uniform(shape, 0, 1, seed=self.seed_generator))

        def get_config(self):
            return {**super().get_config(), "drop_prob": self.drop_prob}

    class SequencePooling(layers.Layer):
        """Average over positions by weights that attention gives."""

        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.attention = layers.Dense(1)

        def call(self, x):
            weights = ops.transpose(ops.softmax(self.attention(x), axis=1), (0, 2, 1))
            return ops.squeeze(ops.matmul(weights, x), -2)

    return Patches, PatchEncoder, MLPMixerLayer, StochasticDepth, SequencePooling


def _texts(keras):
    layers, ops = keras.layers, keras.ops

    class TransformerBlock(layers.Layer):
        """Attend, then apply two dense layers, each with a shortcut."""

        def __init__(self, embed_dim, num_heads, ff_dim, rate=0.1, **kwargs):
            super().__init__(**kwargs)
            self.embed_dim, self.num_heads, self.ff_dim, self.rate = embed_dim, num_heads, ff_dim, rate
            self.att = layers.MultiHeadAttention(num_heads=num_heads, key_dim=embed_dim)
            self.ffn = keras.Sequential([layers.Dense(ff_dim, activation="relu"), layers.Dense(embed_dim)])
            self.layernorm1 = layers.LayerNormalization(epsilon=1e-6)
            self.layernorm2 = layers.LayerNormalization(epsilon=1e-6)
            self.dropout1, self.dropout2 = layers.Dropout(rate), layers.Dropout(rate)

        def call(self, inputs):
            attended = self.dropout1(self.att(inputs, inputs))
            x = self.layernorm1(inputs + attended)
            return self.layernorm2(x + self.dropout2(self.ffn(x)))

        def get_config(self):
            names = ("embed_dim", "num_heads", "ff_dim", "rate")
            return {**super().get_config(), **{name: getattr(self, name) for name in names}}

    class TokenAndPositionEmbedding(layers.Layer):
        """Embed tokens and their positions."""

        def __init__(self, maxlen, vocab_size, embed_dim, **kwargs):
            super().__init__(**kwargs)
            self.maxlen, self.vocab_size, self.embed_dim = maxlen, vocab_size, embed_dim
            self.token_emb = layers.Embedding(input_dim=vocab_size, output_dim=embed_dim)
            self.pos_emb = layers.Embedding(input_dim=maxlen, output_dim=embed_dim)

        def call(self, x):
            positions = ops.arange(start=0, stop=ops.shape(x)[-1], step=1)
            return self.token_emb(x) + self.pos_emb(positions)

        def get_config(self):
            names = ("maxlen", "vocab_size", "embed_dim")
            return {**super().get_config(), **{name: getattr(self, name) for name in names}}

    class PositionalEmbedding(layers.Layer):
        """Embed tokens and their positions; token 0 is masked."""

        def __init__(self, sequence_length, vocab_size, embed_dim, **kwargs):
            super().__init__(**kwargs)
            self.token_embeddings = layers.Embedding(input_dim=vocab_size, output_dim=embed_dim)
            self.position_embeddings = layers.Embedding(input_dim=sequence_length, output_dim=embed_dim)
            self.sequence_length, self.vocab_size, self.embed_dim = sequence_length, vocab_size, embed_dim

        def call(self, inputs):
            length = ops.shape(inputs)[-1]
            return self.token_embeddings(inputs) + self.position_embeddings(ops.arange(0, length, 1))

        def compute_mask(self, inputs, mask=None):
            return ops.not_equal(inputs, 0)

        def get_config(self):
            names = ("sequence_length", "vocab_size", "embed_dim")
            return {**super().get_config(), **{name: getattr(self, name) for name in names}}

    class TransformerDecoder(layers.Layer):
        """Attend to earlier positions and to the source."""

        def __init__(self, embed_dim, latent_dim, num_heads, **kwargs):
            super().__init__(**kwargs)
            self.embed_dim, self.latent_dim, self.num_heads = embed_dim, latent_dim, num_heads
            self.attention_1 = layers.MultiHeadAttention(num_heads=num_heads, key_dim=embed_dim)
            self.attention_2 = layers.MultiHeadAttention(num_heads=num_heads, key_dim=embed_dim)
            self.dense_proj = keras.Sequential([layers.Dense(latent_dim, activation="relu"), layers.Dense(embed_dim)])
            self.layernorm_1, self.layernorm_2 = layers.LayerNormalization(), layers.LayerNormalization()
            self.layernorm_3 = layers.LayerNormalization()
            self.add = layers.Add()
            self.supports_masking = True

        def call(self, inputs, mask=None):
            inputs, encoded = inputs
            inputs_mask, encoded_mask = (None, None) if mask is None else mask
            first = self.attention_1(
                query=inputs, value=inputs, key=inputs, query_mask=inputs_mask, use_causal_mask=True
            )
            first = self.layernorm_1(self.add([inputs, first]))
            second = self.attention_2(
                query=first, value=encoded, key=encoded, query_mask=inputs_mask, key_mask=encoded_mask
            )
            second = self.layernorm_2(self.add([first, second]))
            return self.layernorm_3(self.add([second, self.dense_proj(second)]))

        def get_config(self):
            names = ("embed_dim", "latent_dim", "num_heads")
            return {**super().get_config(), **{name: getattr(self, name) for name in names}}

    return TransformerBlock, TokenAndPositionEmbedding, PositionalEmbedding, TransformerDecoder


def _small(keras):
    layers, ops = keras.layers, keras.ops

    class Sampling(layers.Layer):
        """Draw from a normal distribution in training; else return its mean."""

        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.seed_generator = keras.random.SeedGenerator(1337)

        def call(self, inputs, training=False):
            mean, log_variance = inputs
            if not training:
                return mean
            noise = keras.random.normal(shape=ops.shape(mean), seed=self.seed_generator)
            return mean + ops.exp(0.5 * log_variance) * noise

    class FNetMixing(layers.Layer):
        """Mix positions by the real part of a Fourier transform."""

        def call(self, inputs):
            return ops.fft2((inputs, ops.zeros_like(inputs)))[0]

    class AttentionOfInstances(layers.Layer):
        """Weigh instances of a bag by gated attention, with weights of its own."""

        def __init__(self, weight_params_dim, **kwargs):
            super().__init__(**kwargs)
            self.weight_params_dim = weight_params_dim

        def build(self, input_shape):
            width, units = input_shape[0][-1], self.weight_params_dim
            self.v_weight_params = self.add_weight(shape=(width, units), initializer="glorot_uniform", name="v")
            self.w_weight_params = self.add_weight(shape=(units, 1), initializer="glorot_uniform", name="w")
            self.u_weight_params = self.add_weight(shape=(width, units), initializer="glorot_uniform", name="u")

        def call(self, inputs):
            scores = [self.score(instance) for instance in inputs]
            weights = ops.softmax(ops.stack(scores), axis=0)
            return [weights[index] * instance for index, instance in enumerate(inputs)]

        def score(self, instance):
            gate = ops.sigmoid(ops.tensordot(instance, self.u_weight_params, axes=1))
            return ops.tensordot(
                ops.tanh(ops.tensordot(instance, self.v_weight_params, axes=1)) * gate, self.w_weight_params, axes=1
            )

        def get_config(self):
            return {**super().get_config(), "weight_params_dim": self.weight_params_dim}

    class OrthogonalRegularizer(keras.regularizers.Regularizer):
        """Penalize features of a square that is not orthogonal."""

        def __init__(self, num_features, l2reg=0.001):
            self.num_features, self.l2reg = num_features, l2reg

        def __call__(self, x):
            x = ops.reshape(x, (-1, self.num_features, self.num_features))
            squares = ops.tensordot(x, x, axes=(2, 2))
            squares = ops.reshape(squares, (-1, self.num_features, self.num_features))
            return ops.sum(self.l2reg * ops.square(squares - ops.eye(self.num_features)))

        def get_config(self):
            return {"num_features": self.num_features, "l2reg": self.l2reg}

    class RecommenderNet(keras.Model):
        """Multiply embeddings of users and items."""

        def __init__(self, num_users, num_items, embedding_size, **kwargs):
            super().__init__(**kwargs)
            self.num_users, self.num_items, self.embedding_size = num_users, num_items, embedding_size
            self.user_embedding = layers.Embedding(num_users, embedding_size)
            self.user_bias = layers.Embedding(num_users, 1)
            self.item_embedding = layers.Embedding(num_items, embedding_size)
            self.item_bias = layers.Embedding(num_items, 1)

        def call(self, inputs):
            user, item = inputs[:, 0], inputs[:, 1]
            both = ops.tensordot(self.user_embedding(user), self.item_embedding(item), 2)
            return ops.nn.sigmoid(both + self.user_bias(user) + self.item_bias(item))

        def get_config(self):
            names = ("num_users", "num_items", "embedding_size")
            return {**super().get_config(), **{name: getattr(self, name) for name in names}}

    class CustomModel(keras.Model):
        """A functional model with a training step of its own."""

        def train_step(self, data):
            return super().train_step(data)

    @keras.saving.register_keras_serializable(package="own")
    def euclidean_distance(vectors):
        x, y = vectors
        return ops.sqrt(ops.maximum(ops.sum(ops.square(x - y), axis=1, keepdims=True), 1e-7))

    return (
        Sampling,
        FNetMixing,
        AttentionOfInstances,
        OrthogonalRegularizer,
        RecommenderNet,
        CustomModel,
        euclidean_distance,
    )
