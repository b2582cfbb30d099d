"""Prints the predictions of an export: `FORMAT ROWS`, in a directory with the file and the rows as numbers of 64 bits."""

import json
import sys

import numpy


def description(data):
    """Returns what an export says of its model."""
    found = json.loads(data)
    assert found["schema"] == 1 and len(found["transcript"]) == 16, found
    return found


def by_arrays(arrays, found, rows):
    """Predicts by the formula of docs/model.md."""
    values = (rows - arrays["centre"]) / arrays["scale"]
    scores = values @ arrays["weight1"].T + arrays["bias1"]
    number = 2
    while f"weight{number}" in arrays:
        scores = numpy.tanh(scores) @ arrays[f"weight{number}"].T + arrays[f"bias{number}"]
        number += 1
    classes, chances = found["classes"], numpy.zeros((len(rows), 0))
    if not classes:
        return [""] * len(rows), scores, chances
    if scores.shape[1] == 1:
        numbers = (scores[:, 0] > 0).astype(int)
        if found["objective"] == "logistic":
            second = 1 / (1 + numpy.exp(-scores))
            chances = numpy.hstack([1 - second, second])
    else:
        numbers = scores.argmax(axis=1)
        powers = numpy.exp(scores - scores.max(axis=1, keepdims=True))
        chances = powers / powers.sum(axis=1, keepdims=True)
    return [classes[number] for number in numbers], scores, chances


def by_npy(columns_of):
    arrays = numpy.load("model.npz")
    found = description(bytes(arrays["description"]))
    return by_arrays(arrays, found, columns_of(found))


def by_safetensors(columns_of):
    from safetensors import safe_open

    with safe_open("model.safetensors", framework="numpy") as file:
        found = description(file.metadata()["smidgen"])
        arrays = {name: file.get_tensor(name) for name in file.keys()}
    return by_arrays(arrays, found, columns_of(found))


def by_onnx(columns_of):
    import onnx
    import onnxruntime

    model = onnx.load("model.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert {opset.domain for opset in model.opset_import} == {""}, model.opset_import
    session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
    properties = session.get_modelmeta().custom_metadata_map
    found = description(properties["smidgen"])
    assert json.loads(properties["classes"]) == found["classes"]
    windows = found["input"].get("windows")
    if windows:
        shape = [-1, windows["window"], len(windows["channels"])]
        samples = numpy.fromfile(sys.argv[2], dtype="<i2").reshape(shape).astype(float)
        rows = samples * 0.75 / 32768
    else:
        rows = columns_of(found)
    names = [output.name for output in session.get_outputs()]
    outputs = dict(zip(names, session.run(None, {"windows" if windows else "rows": rows})))
    if not found["classes"]:
        assert (outputs["prediction"] == outputs["scores"][:, 0]).all()
    labels = outputs.get("label", [""] * len(rows))
    return labels, outputs["scores"], outputs.get("probabilities", numpy.zeros((len(rows), 0)))


def main():
    kind, path = sys.argv[1:]

    def columns_of(found):
        # The arrays are those of columns, also where these are features of windows.
        name = "features" if "windows" in found["input"] else path
        return numpy.fromfile(name, dtype="<f8").reshape(-1, found["input"]["column_count"])

    by = {"npy": by_npy, "safetensors": by_safetensors, "onnx": by_onnx}[kind]
    for label, scores, chances in zip(*by(columns_of)):
        print(label, *(" ".join(map(repr, map(float, row))) for row in (scores, chances)), sep="\t")


main()
