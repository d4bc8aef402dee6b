"""The CNN and the CRNN in onnxruntime, on one thread: the yardstick for `cargo bench --bench network`.

    python3 -m venv /tmp/onnx && /tmp/onnx/bin/pip install numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0
    /tmp/onnx/bin/python benches/onnx_baseline.py

Weights are random; the time does not depend on them. Shapes are those of `Architecture::cnn()` and `Architecture::crnn()`,
in the form that suits onnxruntime best: batch norm folded, pool before ELU, channels first, ONNX's own GRU
(`linear_before_reset=0`, which is the reset of Keras 1). The int8 column is the usual static QDQ quantisation of the
convolutions (per channel weights, calibrated on noise).
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

RNG = np.random.default_rng(1)
NETWORKS = {
    "cnn": (0, [(32, 2, 4), (128, 2, 4), (128, 2, 4), (192, 3, 5), (256, 4, 4)]),
    "crnn": (37, [(64, 2, 2), (128, 3, 3), (128, 4, 4), (128, 4, 4)]),
}


def build(name):
    pad, blocks = NETWORKS[name]
    nodes, weights = [], []

    def const(label, array):
        weights.append(numpy_helper.from_array(array, label))
        return label

    def random(label, *shape):
        bound = np.sqrt(6.0 / max(1, np.prod(shape[1:])))
        return const(label, RNG.uniform(-bound, bound, shape).astype(np.float32))

    wire, channels = "mel", 1
    if pad:
        pads = const("pads", np.array([0, 0, 0, pad, 0, 0, 0, pad], np.int64))
        nodes.append(helper.make_node("Pad", [wire, pads], ["padded"]))
        wire = "padded"
    for i, (filters, frequency, columns) in enumerate(blocks):
        w, b = random(f"w{i}", filters, channels, 3, 3), random(f"b{i}", filters)
        extents = {"kernel_shape": [frequency, columns], "strides": [frequency, columns]}
        nodes += [
            helper.make_node("Conv", [wire, w, b], [f"conv{i}"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
            helper.make_node("MaxPool", [f"conv{i}"], [f"pool{i}"], **extents),
            helper.make_node("Elu", [f"pool{i}"], [f"elu{i}"]),
        ]
        wire, channels = f"elu{i}", filters
    if name == "crnn":
        nodes += [
            helper.make_node("Squeeze", [wire, const("axis", np.array([2], np.int64))], ["steps_last"]),
            helper.make_node("Transpose", ["steps_last"], ["x0"], perm=[2, 0, 1]),
        ]
        for i, features in enumerate([128, 32]):
            parts = [f"x{i}", random(f"gw{i}", 1, 96, features), random(f"gr{i}", 1, 96, 32), random(f"gb{i}", 1, 192)]
            activations = ["HardSigmoid", "Tanh"]
            nodes.append(helper.make_node("GRU", parts, [f"y{i}", f"h{i}"], hidden_size=32, activations=activations))
            nodes.append(helper.make_node("Squeeze", [f"y{i}", "gru_axis"], [f"x{i + 1}"]))
        const("gru_axis", np.array([1], np.int64))
        nodes.append(helper.make_node("Squeeze", ["h1", const("state_axis", np.array([0], np.int64))], ["embedding"]))
        size = 32
    else:
        nodes.append(helper.make_node("Flatten", [wire], ["embedding"]))
        size = 256
    nodes.append(helper.make_node("Gemm", ["embedding", random("ow", size, 10), random("ob", 10)], ["logits"]))
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("mel", TensorProto.FLOAT, [1, 1, 96, 1366])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 10])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def frame():
    return {"mel": RNG.standard_normal((1, 1, 96, 1366)).astype(np.float32)}


class Noise(CalibrationDataReader):
    def __init__(self):
        self.frames = iter([frame() for _ in range(4)])

    def get_next(self):
        return next(self.frames, None)


def milliseconds(path, runs=20):
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    mel = frame()
    for _ in range(3):
        session.run(None, mel)
    # CPU time: what other processes take does not count.
    times = []
    for _ in range(runs):
        start = time.process_time()
        session.run(None, mel)
        times.append(time.process_time() - start)
    return 1e3 * float(np.median(times)), 1e3 * min(times)


def main():
    print(f"onnxruntime {ort.__version__}, one thread, CPU ms per 29.12-s frame: median (best)")
    with tempfile.TemporaryDirectory() as folder:
        for name in NETWORKS:
            plain, prepared, int8 = (str(Path(folder) / f"{name}{end}.onnx") for end in ("", "-pre", "-int8"))
            onnx.save(build(name), plain)
            print(f"{name} f32   {milliseconds(plain)[0]:.1f} ({milliseconds(plain)[1]:.1f})", flush=True)
            quant_pre_process(plain, prepared, skip_symbolic_shape=True)
            quantize_static(
                prepared,
                int8,
                Noise(),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=["Conv", "MaxPool"],
                per_channel=True,
                weight_type=QuantType.QInt8,
                activation_type=QuantType.QUInt8,
            )
            median, best = milliseconds(int8)
            print(f"{name} int8  {median:.1f} ({best:.1f})", flush=True)


if __name__ == "__main__":
    sys.exit(main())
