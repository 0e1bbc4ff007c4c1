"""ONNX: the network as a graph, from the input `images` to the output `logits`."""

import importlib.util
from collections.abc import Iterator
from importlib.metadata import version

import numpy as np
from jaxtyping import Float

from ...backend import to_host
from ...errors import UsageError
from ..layers import Layer, PlainNetwork
from . import Reading

try:
    import onnx
    from onnx import helper, numpy_helper
    from onnx.reference import ReferenceEvaluator
except ModuleNotFoundError as error:
    raise UsageError("onnx is not installed: `pip install 'refimpl[interop]'` installs it") from error

SUFFIX = ".onnx"
OPSET, IR_VERSION = 17, 8
"""Of 2022, so that older readers take the files, too."""

OPERATORS = {"Conv2d": "Conv", "MaxPool2d": "MaxPool", "Linear": "Gemm", "ReLU": "Relu", "LeakyReLU": "LeakyRelu"}
"""Where ONNX has another name than PyTorch."""


def content(network: PlainNetwork, provenance: str) -> bytes:
    """The graph with its weights, W1, b1, ...; the provenance is the metadata `refimpl`."""
    nodes, value = [], "images"
    initializers: list[onnx.TensorProto] = []
    for i, layer in enumerate(network.layers, start=1):
        names = []
        if layer.tensors:
            number = len(initializers) // 2 + 1
            names = [f"W{number}", f"b{number}"]
            arrays = (np.ascontiguousarray(to_host(p)) for p in layer.tensors.values())
            initializers += [numpy_helper.from_array(array, name) for array, name in zip(arrays, names, strict=True)]
        output = "logits" if i == len(network.layers) else f"layer{i}"
        operator = OPERATORS.get(layer.kind, layer.kind)
        nodes.append(helper.make_node(operator, [value, *names], [output], f"{operator}{i}", **_attributes(layer)))
        value = output
    kind, classes = initializers[-1].data_type, initializers[-1].dims[0]
    images = helper.make_tensor_value_info("images", kind, ["batch", *network.shape])
    logits = helper.make_tensor_value_info("logits", kind, ["batch", classes])
    graph = helper.make_graph(nodes, "refimpl", [images], [logits], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    model.producer_name, model.producer_version = "refimpl", version("refimpl")
    helper.set_model_props(model, {"refimpl": provenance})
    return model.SerializeToString(deterministic=True)


def _attributes(layer: Layer) -> dict[str, object]:
    """PyTorch's settings as attributes of the operator."""
    sizes = layer.sizes
    if layer.kind == "Conv2d":
        return {"kernel_shape": [sizes[2]] * 2, "pads": [layer.settings.get("padding", 0)] * 4}
    if layer.kind == "MaxPool2d":
        return {"kernel_shape": [sizes[0]] * 2, "strides": [sizes[0]] * 2}
    if layer.kind == "Linear":
        return {"transB": 1}
    return {"alpha": sizes[0]} if layer.kind == "LeakyReLU" else {}


def readings(network: PlainNetwork, content: bytes, x: Float[np.ndarray, "batch C H W"]) -> Iterator[Reading]:
    """By the checker and the reference evaluator of onnx, in double precision, and by onnxruntime in single.

    onnxruntime takes part where it is installed and the file is in single precision: it has no convolution in double.
    """
    model = onnx.load_model_from_string(content)
    onnx.checker.check_model(model, full_check=True)
    (logits,) = ReferenceEvaluator(_widened(model)).run(["logits"], {"images": x})
    yield Reading(f"onnx {onnx.__version__}", logits, 1e-6)
    single = model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    if single and importlib.util.find_spec("onnxruntime"):
        import onnxruntime

        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        (logits,) = session.run(["logits"], {"images": x.astype(np.float32)})
        yield Reading(f"onnxruntime {onnxruntime.__version__}, in single precision", logits, 1e-5)


def _widened(model: "onnx.ModelProto") -> "onnx.ModelProto":
    """The same graph in double precision."""
    wide = onnx.ModelProto()
    wide.CopyFrom(model)
    for tensor in wide.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float64), tensor.name))
    for value in (*wide.graph.input, *wide.graph.output):
        value.type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
    return wide
