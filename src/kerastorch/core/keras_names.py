"""Advice for names of Keras that kerastorch does not have, by the module of Keras that has them.

Each sentence says what to use instead. The right side of a table lists the names that a sentence is for.
"""

from __future__ import annotations

from kerastorch.core.name_lookup import advice_by_name

_SERIALIZE = advice_by_name({
    "Use kerastorch.saving.serialize_keras_object(object), and deserialize_keras_object(config) to make it again.":
        "serialize deserialize",
})  # fmt: skip

TOP_LEVEL = advice_by_name({
    "Pretrained models are those of timm, torchvision or Hugging Face: kerastorch.Model(torchvision.models.resnet18()) "
    "trains one. See the guide 'Transfer learning and freezing'.": "applications",
    "The backend is torch: use its functions, or those of kerastorch.ops. See 'Backend' in the guide 'From Keras'.":
        "backend",
    "Model, Sequential and load_model are in kerastorch itself.": "models",
    "It is in kerastorch.keras.models; copy.deepcopy(model) copies the weights, too.": "clone_model model_from_json",
    "Use torch.nn.Parameter, or add_weight of a layer.": "Variable",
    "It is kerastorch.layers.Layer; any torch.nn.Module is a layer, too.": "Layer",
    "Write a torch.nn.Module, or a function of tensors in forward(); kerastorch.keras has the name.":
        "Operation Function",
    "It is kerastorch.losses.Loss.": "Loss",
    "It is kerastorch.metrics.Metric; names, functions and objects of torchmetrics are metrics, too.": "Metric",
    "Optimizers are in kerastorch.optimizers and torch.optim.": "Optimizer",
    "Initializers are in kerastorch.initializers; a function of a shape is one, too.": "Initializer",
    "Regularizers are in kerastorch.regularizers; a function of a tensor is one, too.": "Regularizer",
    "It is kerastorch.keras.InputSpec.": "InputSpec",
    "Input((8,)) returns a symbolic tensor; functions of torch take it.": "KerasTensor",
    "Quantized training is that of torchao, which takes any torch.nn.Module.": "Quantizer quantizers",
    "Use compile(precision='bf16') for one model, kerastorch.mixed_precision.set_global_policy for all.":
        "DTypePolicy FloatDTypePolicy dtype_policies",
    "Use model.checkpoint_activations('blocks.*'), see the guide 'Memory'; or those of kerastorch.keras.":
        "remat RematScope",
    "A module of torch is called with other weights by torch.func.functional_call.": "StatelessScope SymbolicScope",
    "A layer has the name of its attribute, or the argument name= of its own.": "name_scope",
    "Use compile(device='cuda:0'), model.to('cuda:0'), or a block: with torch.device('cuda:0').": "device",
    "Write a train_step with the outputs of both models. See the guide 'Custom training steps'.": "distillation",
    "It is kerastorch.keras.tree, for nested structures.": "tree",
    "It is kerastorch.keras.visualization; plots of kerastorch are in kerastorch.utils.": "visualization",
    "Keras 3 has it no more. A Model has fit, evaluate and predict.": "estimator experimental",
})  # fmt: skip

LAYERS = _SERIALIZE | advice_by_name({
    f"Its name is {name}.": names
    for name, names in {
        "Conv1D": "Convolution1D", "Conv2D": "Convolution2D", "Conv3D": "Convolution3D",
        "Conv1DTranspose": "Convolution1DTranspose", "Conv2DTranspose": "Convolution2DTranspose",
        "Conv3DTranspose": "Convolution3DTranspose", "SeparableConv1D": "SeparableConvolution1D",
        "SeparableConv2D": "SeparableConvolution2D", "ReLU(negative_slope=..., threshold=...)": "ThresholdedReLU",
        "LSTM": "CuDNNLSTM", "GRU": "CuDNNGRU",
    }.items()
}) | advice_by_name({
    "Only modules of torch are layers.": "FlaxLayer JaxLayer TFSMLayer",
    "It is kerastorch.keras.InputSpec, for layers of your own.": "InputSpec",
    "It is not needed: any torch.nn.Module is a layer. It is in kerastorch.keras.layers.": "TorchModuleWrapper",
    "Columns of tables are those of the guide 'Tabular data'.": "DenseFeatures",
})  # fmt: skip

ACTIVATIONS = _SERIALIZE | advice_by_name({
    "Its name is silu; the name 'swish' is known, too.": "swish",
    "Its name is hard_silu; the name 'hard_swish' is known, too.": "hard_swish",
})  # fmt: skip

INITIALIZERS = _SERIALIZE | advice_by_name({
    "It is for the layer STFTSpectrogram, which sets its kernels by itself.": "STFT STFTInitializer stft",
})  # fmt: skip

CONSTRAINTS = _SERIALIZE

REGULARIZERS = _SERIALIZE

LOSSES = _SERIALIZE | advice_by_name({
    "Write reduction='sum', 'sum_over_batch_size' or 'none'.": "Reduction",
})  # fmt: skip

METRICS = _SERIALIZE | advice_by_name({
    "Keras 3 has it no more; use MeanAbsolutePercentageError.": "MeanRelativeError",
    "Keras 3 has it no more; write a subclass of Metric.": "MeanTensor",
    "Use AUC(curve='PR'), or the name 'average_precision'.": "AveragePrecision",
})  # fmt: skip

OPTIMIZERS = _SERIALIZE | advice_by_name({
    "Several optimizers are a dict by pattern of parameter names: "
    "compile(optimizer={'backbone.*': 'sgd', '*': 'adam'}).":
        "MultiOptimizer OptimizerMap",
    "There is one kind of optimizers: kerastorch.optimizers.Adam and so on.": "legacy experimental",
})  # fmt: skip

SCHEDULES = dict.fromkeys(
    ("OneCycle", "OneCycleLR", "StepLR", "CosineAnnealingLR", "ReduceLROnPlateau"),
    "Schedules of torch are callbacks: callbacks.LRScheduler('one_cycle', max_lr=0.1).",
)

CALLBACKS = advice_by_name({
    "Use ModelCheckpoint for models, BackupAndRestore or fit(resume=folder) for the state of the training.":
        "OrbaxCheckpoint",
    "It is ProgressBar, which fit adds by itself; fit(verbose=) chooses what it shows.": "ProgbarLogger",
    "fit computes means over the epoch by itself.": "BaseLogger",
})  # fmt: skip

CONFIG = advice_by_name({
    "The backend is torch.": "backend set_backend is_nnx_enabled",
    "fit, evaluate and predict have verbose=0.":
        "disable_interactive_logging enable_interactive_logging is_interactive_logging_enabled",
    "The dtype of new weights is torch's: torch.set_default_dtype, torch.get_default_dtype.": "floatx set_floatx",
    "Use kerastorch.mixed_precision.set_global_policy and global_policy, or compile(precision=).":
        "dtype_policy set_dtype_policy",
    "Layers and optimizers have an argument epsilon=.": "epsilon set_epsilon",
    "torch.nn.attention.sdpa_kernel chooses the kernel of attention.":
        "disable_flash_attention enable_flash_attention is_flash_attention_enabled",
    "It is not needed: no code is read from a file.": "enable_unsafe_deserialization",
    "fit has epochs=.": "max_epochs set_max_epochs",
    "fit has limit_batches= and steps_per_epoch=.": "max_steps_per_epoch set_max_steps_per_epoch",
})  # fmt: skip

_OPS = "It is a function of kerastorch.ops."
BACKEND = advice_by_name({
    "Use keras.Variable, or torch.nn.Parameter.": "variable",
    "Use kerastorch.random.": "random_normal random_uniform random_uniform_variable random_normal_variable",
    "Use weight.assign(value).": "set_value update update_add update_sub",
    "Use weight.numpy().": "get_value",
    "Write a train_step, or call torch.autograd.grad.": "gradients GradientTape",
    "A model is in training mode while fit runs: self.training.": "learning_phase set_learning_phase",
    _OPS: "abs all any arange argmax argmin cast clip concatenate cos cumsum dot equal exp expand_dims eye flatten "
    "gather greater l2_normalize less log max maximum mean min minimum ndim not_equal one_hot ones ones_like "
    "permute_dimensions pow prod relu repeat reshape round shape sigmoid sign sin softmax softplus sqrt square squeeze "
    "stack std sum switch tanh tile transpose var zeros zeros_like int_shape ctc_batch_cost ctc_decode",
})  # fmt: skip

MIXED_PRECISION = advice_by_name({
    "Its name is Policy.": "DTypePolicy",
    "It is kerastorch.optimizers.LossScaleOptimizer; compile(precision='fp16') needs none.": "LossScaleOptimizer",
    "Its name is global_policy.": "dtype_policy",
    "Its name is set_global_policy.": "set_dtype_policy set_policy",
})  # fmt: skip

DTYPE_POLICIES = advice_by_name({
    "Quantized training is that of torchao, which takes any torch.nn.Module.":
        "AWQDTypePolicy GPTQDTypePolicy Int4DTypePolicy QuantizedDTypePolicy QuantizedFloat8DTypePolicy",
    "Use compile(precision=) for a model, and layer.to(dtype) for a layer.": "DTypePolicyMap",
})  # fmt: skip

SAVING = advice_by_name({
    "A .kt file is a zip of JSON and safetensors, which other programs read.": "KerasFileEditor",
    "It is a method: model.save(path).": "save_model",
    "It is a method: model.save_weights(path).": "save_weights",
    "It is a method: model.load_weights(path).": "load_weights",
})  # fmt: skip

EXPORT = advice_by_name({
    "It is a method: model.export(path), to .pt2 or .onnx.": "ExportArchive",
})  # fmt: skip

_LOGGING = "fit, evaluate and predict have verbose=0, verbose=1 and verbose=2."
UTILS = advice_by_name({
    "It is in kerastorch.saving.":
        "CustomObjectScope custom_object_scope deserialize_keras_object get_custom_objects get_registered_name "
        "get_registered_object register_keras_serializable serialize_keras_object",
    "It is kerastorch.keras.utils.FeatureSpace; the guide 'Tabular data' has the layers that it is made of.":
        "FeatureSpace",
    "fit shows a bar by itself; for a loop of your own it is kerastorch.keras.utils.Progbar, or tqdm.": "Progbar",
    "It is kerastorch.keras.utils.get_file, or pooch.retrieve(url, known_hash) of the package pooch.": "get_file",
    "A model is freed like any object: del model.": "clear_session",
    "A functional model has them as model.inputs.": "get_source_inputs",
    "What kerastorch.Input returns is no tensor: isinstance(x, torch.Tensor) is False for it.": "is_keras_tensor",
    "plot_model(model) draws the graph; kerastorch.keras.utils.model_to_dot returns one of pydot.": "model_to_dot",
    "Dtypes are those of torch, such as torch.float32.": "standardize_dtype",
    "It is kerastorch.keras.utils.Config; a dict or a dataclass does the same.": "Config",
    _LOGGING: "disable_interactive_logging enable_interactive_logging is_interactive_logging_enabled",
})  # fmt: skip

PREPROCESSING = advice_by_name({
    "Keras 3 has it no more: kerastorch.layers.TextVectorization replaces its Tokenizer. See the guide 'Text'.": "text",
})  # fmt: skip

PREPROCESSING_IMAGE = advice_by_name({
    "Use kerastorch.utils.image_dataset_from_directory, and layers such as RandomFlip and RandomRotation. See the "
    "guide 'Images'.": "ImageDataGenerator",
    "Use the layer RandomRotation, RandomTranslation, RandomZoom or RandomBrightness. See the guide 'Images'.":
        "random_rotation random_shift random_zoom random_brightness",
})  # fmt: skip

PREPROCESSING_SEQUENCE = advice_by_name({
    "Use kerastorch.utils.timeseries_dataset_from_array.": "TimeseriesGenerator",
})  # fmt: skip

DISTRIBUTION = advice_by_name({
    "Write compile(distribution=kerastorch.distribution.DataParallel()), and start the script with torchrun.":
        "set_distribution distribution",
    "Use torch.distributed.device_mesh.init_device_mesh and torch.distributed.tensor, before compile().":
        "DeviceMesh LayoutMap ModelParallel TensorLayout distribute_tensor",
    "Use torch.accelerator.device_count(), or kerastorch.distribution.world_size() for the number of processes.":
        "get_device_count list_devices",
})  # fmt: skip
