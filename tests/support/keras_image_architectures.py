"""Architectures for images and videos in the idiom of Keras' guides, of Keras itself or of `kerastorch.keras`."""

from support.keras_own_layers import own_layers

# --- images -------------------------------------------------------------------------------------------------------


def vision_transformer(keras):
    """Return a Transformer over patches, with layers of the script's own."""
    layers, own = keras.layers, own_layers(keras)
    x = keras.Input((8, 8, 3))
    y = own["PatchEncoder"](16, 6)(own["Patches"](2)(x))
    for _ in range(2):
        z = layers.LayerNormalization(epsilon=1e-6)(y)
        y = layers.Add()([layers.MultiHeadAttention(num_heads=2, key_dim=6, dropout=0.1)(z, z), y])
        z = layers.LayerNormalization(epsilon=1e-6)(y)
        for units in (12, 6):
            z = layers.Dropout(0.1)(layers.Dense(units, activation=keras.activations.gelu)(z))
        y = layers.Add()([z, y])
    y = layers.Dropout(0.5)(layers.Flatten()(layers.LayerNormalization(epsilon=1e-6)(y)))
    return keras.Model(inputs=x, outputs=layers.Dense(3)(y))


def mlp_mixer(keras):
    """Return a chain of mixers between layers of a functional model."""
    layers, own = keras.layers, own_layers(keras)
    x = keras.Input((8, 8, 3))
    y = layers.Dense(units=6)(own["Patches"](4)(x))
    y = keras.Sequential([own["MLPMixerLayer"](4, 6) for _ in range(2)])(y)
    return keras.Model(x, layers.Dense(3)(layers.Dropout(0.2)(layers.GlobalAveragePooling1D()(y))))


def compact_convolutional_transformer(keras):
    """Return a Transformer on what convolutions make of images."""
    layers, own = keras.layers, own_layers(keras)
    x = y = keras.Input((12, 12, 3))
    for filters in (4, 6):
        y = layers.Conv2D(filters, 3, 1, padding="valid", use_bias=False, activation="relu")(y)
        y = layers.MaxPooling2D(3, 2, "same")(layers.ZeroPadding2D(1)(y))
    y = layers.Reshape((-1, 6))(y)
    for rate in (0.0, 0.1):
        z = layers.LayerNormalization(epsilon=1e-5)(y)
        z = layers.MultiHeadAttention(num_heads=2, key_dim=6, dropout=0.1)(z, z)
        y = layers.Add()([own["StochasticDepth"](rate)(z), y])
        z = layers.Dense(6, activation=keras.activations.gelu)(layers.LayerNormalization(epsilon=1e-5)(y))
        y = layers.Add()([own["StochasticDepth"](rate)(z), y])
    y = own["SequencePooling"]()(layers.LayerNormalization(epsilon=1e-5)(y))
    return keras.Model(x, layers.Dense(3)(y))


def conv_mixer(keras):
    """Return a net of depthwise and pointwise convolutions."""
    layers = keras.layers
    x = keras.Input((8, 8, 3))
    y = layers.Rescaling(scale=1.0 / 255)(x)
    y = layers.BatchNormalization()(layers.Activation("gelu")(layers.Conv2D(4, 2, strides=2)(y)))
    for _ in range(2):
        z = layers.BatchNormalization()(layers.Activation("gelu")(layers.DepthwiseConv2D(3, padding="same")(y)))
        y = layers.Add()([z, y])
        y = layers.BatchNormalization()(layers.Activation("gelu")(layers.Conv2D(4, 1)(y)))
    return keras.Model(x, layers.Dense(3, activation="softmax")(layers.GlobalAvgPool2D()(y)))


def squeeze_and_excite(keras):
    """Return blocks with grouped convolutions whose channels are weighed by what is in them."""
    layers = keras.layers
    x = keras.Input((8, 8, 4))
    y = layers.Conv2D(8, 3, padding="same", use_bias=False, kernel_initializer="he_normal")(x)
    for _ in range(2):
        z = layers.Conv2D(8, 3, padding="same", groups=4, kernel_regularizer=keras.regularizers.L2(1e-4))(y)
        z = layers.ReLU(max_value=6.0)(layers.BatchNormalization(epsilon=1e-3, momentum=0.9)(z))
        weights = layers.Reshape((1, 1, 8))(layers.GlobalAveragePooling2D()(z))
        weights = layers.Dense(2, activation="relu")(weights)
        z = layers.Multiply()([z, layers.Dense(8, activation="hard_sigmoid")(weights)])
        y = layers.PReLU(shared_axes=[1, 2])(layers.add([y, z]))
    return keras.Model(x, layers.Dense(2)(layers.GlobalMaxPooling2D(keepdims=True)(y)))


def deep_lab(keras):
    """Return a net for segmentation with dilated convolutions, and features that are made larger."""
    layers = keras.layers

    def block(x, filters, size=3, rate=1):
        x = layers.Conv2D(filters, size, dilation_rate=rate, padding="same", use_bias=False)(x)
        return keras.ops.nn.relu(layers.BatchNormalization()(x))

    x = keras.Input((16, 16, 3))
    low = block(x, 4)
    high = block(layers.MaxPooling2D(2)(low), 6)
    pooled = block(layers.AveragePooling2D(pool_size=(8, 8))(high), 4, 1)
    pooled = layers.UpSampling2D(size=(8, 8), interpolation="bilinear")(pooled)
    branches = [pooled, *(block(high, 4, 3 if rate > 1 else 1, rate) for rate in (1, 2, 3))]
    y = layers.UpSampling2D((2, 2), interpolation="bilinear")(block(layers.Concatenate(axis=-1)(branches), 4, 1))
    y = block(layers.Concatenate(axis=-1)([y, block(low, 2, 1)]), 4)
    return keras.Model(x, layers.Conv2D(3, kernel_size=(1, 1), padding="same")(y))


def super_resolution(keras):
    """Return a net that makes images larger by moving channels into space."""
    layers = keras.layers
    x = keras.Input(shape=(None, None, 1))
    options = {"activation": "relu", "kernel_initializer": "orthogonal", "padding": "same"}
    y = layers.Conv2D(8, 5, **options)(x)
    y = layers.Conv2D(4, 3, **options)(y)
    y = keras.ops.nn.depth_to_space(y, 2)
    return keras.Model(x, y)


def learnable_resizer(keras):
    """Return a net that resizes images by layers, beside a plain resizing."""
    layers = keras.layers
    x = keras.Input((12, 10, 3))
    plain = layers.Resizing(6, 8, interpolation="bilinear")(x)
    y = layers.LeakyReLU(negative_slope=0.2)(layers.Conv2D(4, 7, padding="same")(x))
    y = bottleneck = layers.Resizing(6, 8, interpolation="bilinear")(layers.BatchNormalization()(y))
    z = layers.LeakyReLU(negative_slope=0.2)(layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same")(y)))
    y = layers.Add()([bottleneck, layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same")(z))])
    return keras.Model(x, layers.add([layers.Conv2D(3, 7, padding="same")(y), plain]), name="learnable_resizer")


def augmented(keras):
    """Return a chain that begins with changes of images at random."""
    layers = keras.layers
    augmentation = keras.Sequential(
        [
            layers.RandomFlip("horizontal"),
            layers.RandomRotation(0.1),
            layers.RandomZoom(0.2),
            layers.RandomContrast(0.1),
        ],
        name="augmentation",
    )
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            augmentation,
            layers.Rescaling(1.0 / 127.5, offset=-1),
            layers.Conv2D(4, 3, activation="relu"),
            layers.MaxPooling2D(pool_size=(2, 2)),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(3, activation="softmax"),
        ]
    )


def autoencoder(keras):
    """Return an encoder and a decoder of images."""
    layers = keras.layers
    x = keras.Input((8, 8, 1))
    y = layers.MaxPooling2D((2, 2), padding="same")(layers.Conv2D(4, 3, activation="relu", padding="same")(x))
    y = layers.MaxPooling2D((2, 2), padding="same")(layers.Conv2D(4, 3, activation="relu", padding="same")(y))
    for _ in range(2):
        y = layers.Conv2DTranspose(4, (3, 3), strides=2, activation="relu", padding="same")(y)
    return keras.Model(x, layers.Conv2D(1, (3, 3), activation="sigmoid", padding="same")(y))


def variational_autoencoder(keras):
    """Return an encoder with a layer that draws, and a decoder, in one model with three outputs."""
    layers, own = keras.layers, own_layers(keras)
    x = keras.Input((8, 8, 1))
    y = layers.Conv2D(4, 3, activation="relu", strides=2, padding="same")(x)
    y = layers.Dense(6, activation="relu")(layers.Flatten()(y))
    mean, log_variance = layers.Dense(2, name="z_mean")(y), layers.Dense(2, name="z_log_var")(y)
    encoder = keras.Model(x, [mean, log_variance, own["Sampling"]()([mean, log_variance])], name="encoder")
    latent = keras.Input(shape=(2,))
    y = layers.Reshape((4, 4, 2))(layers.Dense(4 * 4 * 2, activation="relu")(latent))
    y = layers.Conv2DTranspose(4, 3, activation="relu", strides=2, padding="same")(y)
    decoder = keras.Model(latent, layers.Conv2DTranspose(1, 3, activation="sigmoid", padding="same")(y), name="decoder")
    image = keras.Input((8, 8, 1))
    mean, log_variance, drawn = encoder(image)
    return keras.Model(image, {"mean": mean, "log_variance": log_variance, "image": decoder(drawn)})


def generator_and_discriminator(keras):
    """Return a generator before a frozen discriminator, as a GAN is trained."""
    layers = keras.layers
    discriminator = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(4, kernel_size=4, strides=2, padding="same"),
            layers.LeakyReLU(negative_slope=0.2),
            layers.Conv2D(6, kernel_size=4, strides=2, padding="same"),
            layers.LeakyReLU(negative_slope=0.2),
            layers.GlobalMaxPooling2D(),
            layers.Dense(1),
        ],
        name="discriminator",
    )
    generator = keras.Sequential(
        [
            keras.Input((5,)),
            layers.Dense(2 * 2 * 4, use_bias=False),
            layers.BatchNormalization(momentum=0.8),
            layers.ReLU(),
            layers.Reshape((2, 2, 4)),
            layers.Conv2DTranspose(4, kernel_size=4, strides=2, padding="same"),
            layers.LeakyReLU(negative_slope=0.2),
            layers.UpSampling2D(),
            layers.Conv2D(3, kernel_size=5, padding="same", activation="tanh"),
        ],
        name="generator",
    )
    discriminator.trainable = False
    noise = keras.Input((5,))
    return keras.Model(noise, discriminator(generator(noise)), name="gan")


def siamese(keras):
    """Return two branches of one net, whose outputs are compared by a function."""
    layers, own = keras.layers, own_layers(keras)
    x = keras.Input((8, 8, 1))
    y = layers.Conv2D(4, (5, 5), activation="tanh")(layers.BatchNormalization()(x))
    y = layers.Flatten()(layers.AveragePooling2D(pool_size=(2, 2))(y))
    embedding = keras.Model(x, layers.Dense(4, activation="tanh")(layers.BatchNormalization()(y)))
    one, other = keras.Input((8, 8, 1)), keras.Input((8, 8, 1))
    distance = layers.Lambda(own["euclidean_distance"], output_shape=(1,))([embedding(one), embedding(other)])
    y = layers.Dense(1, activation="sigmoid")(layers.BatchNormalization()(distance))
    return keras.Model(inputs=[one, other], outputs=y)


def video(keras):
    """Return recurrent convolutions over frames."""
    layers = keras.layers
    x = y = keras.Input((None, 6, 6, 1))
    for size in (3, 1):
        y = layers.ConvLSTM2D(2, (size, size), padding="same", return_sequences=True, activation="relu")(y)
        y = layers.BatchNormalization()(y)
    return keras.Model(x, layers.Conv3D(1, (3, 3, 3), activation="sigmoid", padding="same")(y))


def frames(keras):
    """Return a net of images applied to each frame of a video."""
    layers = keras.layers
    frame = keras.Sequential([keras.Input((6, 6, 1)), layers.Conv2D(3, 3, activation="relu"), layers.Flatten()])
    x = keras.Input((4, 6, 6, 1))
    y = layers.GRU(4, dropout=0.2)(layers.TimeDistributed(frame)(x))
    return keras.Model(x, layers.Dense(2)(y))


def points(keras):
    """Return a net of points in space that learns how to turn them, with a regularizer of the script's own."""
    layers, own = keras.layers, own_layers(keras)

    def block(x, filters):
        x = layers.Conv1D(filters, kernel_size=1, padding="valid")(x)
        return layers.Activation("relu")(layers.BatchNormalization(momentum=0.0)(x))

    def turned(x, features):
        y = layers.GlobalMaxPooling1D()(block(block(x, 4), 6))
        regularizer = own["OrthogonalRegularizer"](features)
        y = layers.Dense(features**2, kernel_initializer="zeros", activity_regularizer=regularizer)(y)
        return layers.Dot(axes=(2, 1))([x, layers.Reshape((features, features))(y)])

    x = keras.Input((7, 3))
    y = block(turned(x, 3), 4)
    y = layers.GlobalMaxPooling1D()(block(turned(y, 4), 6))
    return keras.Model(x, layers.Dense(3, activation="softmax")(layers.Dropout(0.3)(y)))


IMAGES = (
    vision_transformer, mlp_mixer, compact_convolutional_transformer, conv_mixer, squeeze_and_excite, deep_lab,
    super_resolution, learnable_resizer, augmented, autoencoder, variational_autoencoder,
    generator_and_discriminator, siamese, video, frames, points,
)  # fmt: skip
