"""Architectures of Keras' guides and examples for texts, tables and series, and models within models."""

from support.keras_own_layers import own_layers


def text_transformer(keras):
    """Return a classifier of texts with layers of the script's own."""
    layers, own = keras.layers, own_layers(keras)
    x = keras.Input((8,), dtype="int32")
    y = own["TransformerBlock"](6, 2, 12)(own["TokenAndPositionEmbedding"](8, 20, 6)(x))
    y = layers.Dropout(0.1)(layers.GlobalAveragePooling1D()(y))
    return keras.Model(x, layers.Dense(2, activation="softmax")(layers.Dense(5, activation="relu")(y)))


def translation(keras):
    """Return a Transformer from one text to another, with masks of its own."""
    layers, own = keras.layers, own_layers(keras)
    source = keras.Input((None,), dtype="int64", name="encoder_inputs")
    target = keras.Input((None,), dtype="int64", name="decoder_inputs")
    encoded = own["TransformerBlock"](6, 2, 12)(own["PositionalEmbedding"](10, 20, 6)(source))
    y = own["PositionalEmbedding"](10, 20, 6)(target)
    y = own["TransformerDecoder"](6, 12, 2)([y, encoded])
    y = layers.Dense(20, activation="softmax")(layers.Dropout(0.5)(y))
    return keras.Model({"encoder_inputs": source, "decoder_inputs": target}, y, name="transformer")


def attention_translation(keras):
    """Return recurrent layers with attention between an encoder and a decoder."""
    layers = keras.layers
    source, target = keras.Input((6,), dtype="int32"), keras.Input((5,), dtype="int32")
    encoder = layers.Bidirectional(layers.GRU(3, return_sequences=True), merge_mode="sum")
    encoded = encoder(layers.Embedding(20, 4)(source))
    decoded = layers.GRU(3, return_sequences=True)(layers.Embedding(20, 4)(target))
    context = layers.Attention(use_scale=True)([decoded, encoded])
    context = layers.AdditiveAttention()([context, encoded])
    y = layers.Concatenate()([decoded, context])
    return keras.Model([source, target], layers.TimeDistributed(layers.Dense(20, activation="softmax"))(y))


def encoder_states(keras):
    """Return a decoder that begins with both directions' states of an encoder."""
    layers = keras.layers
    source, target = keras.Input((None, 4)), keras.Input((None, 3))
    _, h, c, back_h, back_c = layers.Bidirectional(layers.LSTM(2, return_state=True))(source)
    states = [layers.Concatenate()([h, back_h]), layers.Concatenate()([c, back_c])]
    y = layers.LSTM(4, return_sequences=True)(target, initial_state=states)
    return keras.Model([source, target], layers.Dense(3, activation="softmax")(y))


def memory_network(keras):
    """Return a net that answers questions to a story, by products of embeddings."""
    layers = keras.layers
    story, question = keras.Input((6,), dtype="int32"), keras.Input((3,), dtype="int32")
    encoder_m = keras.Sequential([layers.Embedding(input_dim=10, output_dim=4), layers.Dropout(0.3)])
    encoder_c = keras.Sequential([layers.Embedding(input_dim=10, output_dim=3), layers.Dropout(0.3)])
    encoder_q = keras.Sequential([layers.Embedding(input_dim=10, output_dim=4), layers.Dropout(0.3)])
    encoded_m, encoded_c, asked = encoder_m(story), encoder_c(story), encoder_q(question)
    match = layers.Activation("softmax")(layers.dot([encoded_m, asked], axes=(2, 2)))
    answer = layers.concatenate([layers.Permute((2, 1))(layers.add([match, encoded_c])), asked])
    return keras.Model([story, question], layers.Dense(10)(layers.LSTM(5)(answer)))


def fourier_text(keras):
    """Return an encoder that mixes words by a Fourier transform."""
    layers, own = keras.layers, own_layers(keras)
    x = keras.Input((8,), dtype="int32")
    y = own["TokenAndPositionEmbedding"](8, 20, 6)(x)
    y = layers.LayerNormalization()(y + own["FNetMixing"]()(y))
    y = layers.LayerNormalization()(y + layers.Dense(6)(layers.Dense(12, activation="relu")(y)))
    return keras.Model(x, layers.Dense(1, activation="sigmoid")(layers.GlobalAveragePooling1D()(y)))


def wave_net(keras):
    """Return gated causal convolutions with shortcuts to the outputs."""
    layers = keras.layers
    x = keras.Input((None, 1))
    y, shortcuts = layers.Conv1D(4, 2, padding="causal")(x), []
    for rate in (1, 2, 4):
        gate = layers.Conv1D(4, 2, padding="causal", dilation_rate=rate, activation="sigmoid")(y)
        z = layers.multiply([layers.Conv1D(4, 2, padding="causal", dilation_rate=rate, activation="tanh")(y), gate])
        z = layers.Conv1D(4, 1)(z)
        y = layers.add([y, z])
        shortcuts.append(z)
    y = layers.Activation("relu")(layers.add(shortcuts))
    return keras.Model(x, layers.Conv1D(8, 1, activation="softmax")(layers.Conv1D(6, 1, activation="relu")(y)))


def series_transformer(keras):
    """Return attention and convolutions over a series."""
    layers = keras.layers
    x = y = keras.Input((10, 1))
    for _ in range(2):
        z = layers.LayerNormalization(epsilon=1e-6)(
            layers.MultiHeadAttention(key_dim=4, num_heads=2, dropout=0.2)(y, y)
        )
        residual = layers.Dropout(0.2)(z) + y
        z = layers.Conv1D(filters=4, kernel_size=1, activation="relu")(residual)
        y = layers.LayerNormalization(epsilon=1e-6)(layers.Conv1D(filters=1, kernel_size=1)(z)) + residual
    y = layers.GlobalAveragePooling1D(data_format="channels_last")(y)
    return keras.Model(x, layers.Dense(2, activation="softmax")(layers.Dense(6, activation="relu")(y)))


def padded_series(keras):
    """Return recurrent layers that skip rows of zeros."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((6, 3)),
            layers.Masking(mask_value=0.0),
            layers.LSTM(4, return_sequences=True, recurrent_dropout=0.1),
            layers.Bidirectional(layers.SimpleRNN(3, return_sequences=True), merge_mode="ave"),
            layers.GRU(3, unroll=True),
            layers.Dense(1, kernel_constraint=keras.constraints.MaxNorm(3)),
        ]
    )


def wide_and_deep(keras):
    """Return a table's columns, encoded, scaled and embedded, for a linear and a deep part."""
    layers = keras.layers
    age, kind = keras.Input((1,), name="age"), keras.Input((1,), name="kind", dtype="int32")
    place = keras.Input((1,), name="place", dtype="int32")
    encoded = layers.CategoryEncoding(num_tokens=9, output_mode="multi_hot")(place)
    one_hot = layers.CategoryEncoding(num_tokens=8, output_mode="one_hot")(kind)
    embedded = layers.Flatten()(layers.Embedding(9, 3)(kind))
    scaled = layers.Normalization(axis=-1, mean=[0.5], variance=[2.0])(age)
    wide = layers.concatenate([encoded, one_hot])
    deep = layers.concatenate([scaled, embedded])
    deep = layers.Dropout(0.1)(layers.BatchNormalization()(layers.Dense(6, activation="selu")(deep)))
    inputs = {"age": age, "kind": kind, "place": place}
    return keras.Model(inputs, layers.Dense(2, activation="softmax")(layers.concatenate([wide, deep])))


def table_transformer(keras):
    """Return attention over the columns of a table, each an input of its own."""
    layers, ops = keras.layers, keras.ops
    columns = {f"column_{index}": keras.Input((), name=f"column_{index}", dtype="int32") for index in range(5)}
    numbers = {f"number_{index}": keras.Input((1,), name=f"number_{index}", dtype="float32") for index in range(3)}
    embedded = ops.stack([layers.Embedding(9, 4)(one) for one in columns.values()], axis=1)
    z = layers.Add()([layers.MultiHeadAttention(2, 4)(embedded, embedded), embedded])
    z = layers.LayerNormalization(epsilon=1e-6)(z)
    y = layers.LayerNormalization(epsilon=1e-6)(layers.Add()([layers.Dense(4, activation="gelu")(z), z]))
    numeric = layers.LayerNormalization(epsilon=1e-6)(layers.concatenate([*numbers.values()]))
    y = layers.concatenate([layers.Flatten()(y), numeric])
    return keras.Model({**columns, **numbers}, layers.Dense(units=1, activation="sigmoid", name="sigmoid")(y))


def variable_selection(keras):
    """Return gated columns that are weighed by a softmax."""
    layers, ops = keras.layers, keras.ops

    def gated(x, units):
        y = layers.Dense(units)(layers.Dense(units, activation="elu")(x))
        y = layers.Dense(units)(y) * layers.Dense(units, activation="sigmoid")(y)
        return layers.LayerNormalization()((x if x.shape[-1] == units else layers.Dense(units)(x)) + y)

    columns = [keras.Input((1,)) for _ in range(3)]
    rows = [layers.Dense(4)(one) for one in columns]
    weights = ops.expand_dims(layers.Dense(3, activation="softmax")(gated(layers.concatenate(rows), 4)), axis=-1)
    values = ops.stack([gated(one, 4) for one in rows], axis=1)
    y = ops.squeeze(ops.matmul(ops.transpose(weights, axes=[0, 2, 1]), values), axis=1)
    return keras.Model(columns, layers.Dense(1, activation="sigmoid")(y))


def deep_and_cross(keras):
    """Return products of columns beside a deep chain."""
    layers = keras.layers
    x = crossed = keras.Input((6,))
    for _ in range(2):
        crossed = x * layers.Dense(6)(crossed) + crossed
    deep = layers.Dense(4, activation="relu", kernel_regularizer=keras.regularizers.L1L2(1e-4, 1e-4))(x)
    return keras.Model(x, layers.Dense(1)(layers.concatenate([layers.BatchNormalization()(crossed), deep])))


def bag_of_instances(keras):
    """Return a classifier of bags, whose layer takes and returns lists."""
    layers, own = keras.layers, own_layers(keras)
    inputs = [keras.Input((4,)) for _ in range(3)]
    first, second = layers.Dense(5, activation="relu"), layers.Dense(3, activation="relu")
    embedded = [second(first(layers.Flatten()(one))) for one in inputs]
    weighed = own["AttentionOfInstances"](weight_params_dim=4)(embedded)
    return keras.Model(inputs, layers.Dense(2, activation="softmax")(layers.concatenate(weighed)))


def recommender(keras):
    """Return a model of a class of the script's own."""
    model = own_layers(keras)["RecommenderNet"](9, 8, 4)
    model(keras.ops.convert_to_tensor([[1, 2], [3, 4]]))
    return model


def own_training(keras):
    """Return a functional model of a class with a training step of its own, on a frozen model of another class."""
    layers, own = keras.layers, own_layers(keras)
    a = keras.Input((4,))
    base = own["CustomModel"](a, layers.Dense(3, activation="relu")(a), name="base")
    base.trainable = False
    x = keras.Input((4,))
    return own["CustomModel"](inputs=x, outputs=layers.Dense(2)(base(x)), name="own")


def three_deep(keras):
    """Return functional models within others, three deep, with several inputs and outputs."""
    layers = keras.layers
    a, b = keras.Input((4,)), keras.Input((4,))
    inner = keras.Model([a, b], [layers.Dense(3)(a), layers.Dense(3)(layers.add([a, b]))], name="innermost")
    c = keras.Input((4,))
    first, second = inner([c, layers.Dense(4, activation="tanh")(c)])
    middle = keras.Model(c, {"sum": layers.add([first, second]), "first": first}, name="middle")
    x = keras.Input((4,))
    found = middle(x)
    outer = keras.Model(x, layers.concatenate([found["sum"], found["first"], x]), name="outer")
    z = keras.Input((4,))
    return keras.Model(z, layers.Dense(2)(outer(outer(z)[:, :4])))


def chains_in_graphs(keras):
    """Return chains in functional models in chains."""
    layers = keras.layers
    chain = keras.Sequential([keras.Input((4,)), layers.Dense(3, activation="relu"), layers.Dense(4)], name="chain")
    x = keras.Input((4,))
    graph = keras.Model(x, layers.add([chain(x), layers.Activation("swish")(chain(chain(x)))]), name="graph")
    inner = keras.Sequential([graph, layers.BatchNormalization(), keras.Sequential([layers.Dense(3)])])
    return keras.Sequential([keras.Input((4,)), layers.Dense(4), inner, layers.Softmax()])


def layers_again(keras):
    """Return layers that are called several times, at several depths and on inputs of several lengths."""
    layers = keras.layers
    a, b = keras.Input((5, 4)), keras.Input((7, 4))
    dense, recurrent = layers.Dense(4, activation="tanh"), layers.LSTM(4, return_sequences=True)
    norm = layers.LayerNormalization()
    y = recurrent(dense(norm(recurrent(a))))
    z = dense(dense(norm(b)))
    joined = recurrent(layers.Concatenate(axis=1)([y, z, a]))
    return keras.Model([b, a], [layers.GlobalMaxPooling1D()(joined), dense(layers.Flatten()(y)[:, :4]), norm(z)])


TEXTS_AND_TABLES = (
    text_transformer, translation, attention_translation, encoder_states, memory_network, fourier_text, wave_net,
    series_transformer, padded_series, wide_and_deep, table_transformer, variable_selection, deep_and_cross,
    bag_of_instances, recommender, own_training, three_deep, chains_in_graphs, layers_again,
)  # fmt: skip
