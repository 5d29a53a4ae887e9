"""The floor: the least an HTTP server with this model can do. No token, no schema, no log, no metrics."""

import os

import numpy as np
import onnxruntime
import orjson

_options = onnxruntime.SessionOptions()
_options.intra_op_num_threads = _options.inter_op_num_threads = 1
_session = onnxruntime.InferenceSession(os.environ["FLOOR_MODEL"], _options, providers=["CPUExecutionProvider"])
_dtype = np.float64 if os.environ["FLOOR_DTYPE"] == "float64" else np.float32
_input, _output = os.environ["FLOOR_INPUT"], os.environ["FLOOR_OUTPUT"]


async def app(scope, receive, send):  # noqa: ANN001, ANN201 - as bare as it gets
    """Answer every POST with the positive class's probability."""
    if scope["type"] != "http":
        return
    body = (await receive()).get("body", b"")
    if not body:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ready"})
        return
    row = np.array([list(orjson.loads(body)["input_data"].values())], _dtype)
    answer = orjson.dumps({"prediction": [float(_session.run([_output], {_input: row})[0][0, 1])]})
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(answer)),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})
