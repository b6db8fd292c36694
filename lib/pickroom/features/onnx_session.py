"""Sessions of ONNX Runtime. Pure: graphs in, arrays out."""

from typing import Any


def open_session(graph: bytes, threads: int = 1) -> Any:
    """An `onnxruntime.InferenceSession` of a serialised graph; it may be called from several threads.

    Args:
        threads: that one call computes with.
    """
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors only
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
