"""shapes.py for Triton's Python backend."""
import os
import sys

import triton_python_backend_utils as backend

sys.path.insert(0, os.environ["SHAPES_FOLDER"])
import shapes  # noqa: E402


class TritonPythonModel:
    def execute(self, requests):
        responses = []
        for request in requests:
            names, shares = shapes.predict(backend.get_input_tensor_by_name(request, "pixels").as_numpy())
            responses.append(backend.InferenceResponse([backend.Tensor("prediction", names),
                                                        backend.Tensor("probability", shares)]))
        return responses
