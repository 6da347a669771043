"""The writer of ONNX files: what the package onnx reads is what it would have written itself."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from bitcodes.models.onnx_graph import OnnxGraph, Port


def test_a_file_is_the_one_that_the_package_onnx_makes() -> None:
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(200, 3, 1, 1)).astype(np.float32)  # sizes of one and of two bytes
    graph = OnnxGraph()
    x = graph.node("Transpose", "images", perm=(0, 3, 1, 2))
    x = graph.node("Cast", x, to=1)
    x = graph.node("Conv", x, graph.constant(weight), group=1, strides=[300, 1])
    x = graph.node("Reshape", x, graph.constant(np.array([0, 200], np.int64)), name="outputs")
    content = graph.to_bytes(
        [Port("images", "uint8", (1, 1, 3))], [Port("outputs", "float32", (200,))], {"ü": "a" * 300}
    )

    expected = helper.make_model(
        helper.make_graph(
            [
                node("Transpose", ["images"], "Transpose_0", perm=[0, 3, 1, 2]),
                node("Cast", ["Transpose_0"], "Cast_1", to=1),
                node("Conv", ["Cast_1", "constant_0"], "Conv_2", group=1, strides=[300, 1]),
                node("Reshape", ["Conv_2", "constant_1"], "outputs"),
            ],
            "bitcodes",
            [helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", 1, 1, 3])],
            [helper.make_tensor_value_info("outputs", TensorProto.FLOAT, ["batch", 200])],
            [
                numpy_helper.from_array(weight, "constant_0"),
                numpy_helper.from_array(np.array([0, 200], np.int64), "constant_1"),
            ],
        ),
        producer_name="bitcodes",
        ir_version=8,
        opset_imports=[helper.make_opsetid("", 17)],
    )
    helper.set_model_props(expected, {"ü": "a" * 300})
    model = onnx.load_from_string(content)
    onnx.checker.check_model(model, full_check=True)
    assert model == expected

    images = rng.integers(0, 256, (4, 1, 1, 3), np.uint8)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (outputs,) = session.run(None, {"images": images})
    flat = images.reshape(4, 3).astype(np.float32)
    np.testing.assert_allclose(outputs, flat @ weight.reshape(200, 3).T, rtol=1e-5, atol=1e-4)


def node(kind: str, inputs: list[str], name: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(kind, inputs, [name], name, **attributes)


@pytest.mark.parametrize(
    "values",
    [
        np.float32(1.5),
        np.arange(6, dtype=np.float32).reshape(2, 3).T,
        np.arange(3, dtype=">f4"),
        np.array([-1, 2**40], np.int64),
        np.zeros((0, 4), np.uint8),
    ],
)
def test_constants_of_every_form_are_kept(values: NDArray[Any]) -> None:
    graph = OnnxGraph()
    graph.node("Identity", graph.constant(np.asarray(values)), name="same")
    dtype = np.asarray(values).dtype.name
    content = graph.to_bytes([], [Port("same", dtype, ())], {})
    (constant,) = onnx.load_from_string(content).graph.initializer
    np.testing.assert_array_equal(numpy_helper.to_array(constant), values)
