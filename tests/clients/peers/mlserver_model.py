"""shapes.py for MLServer."""
import os
import sys

from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceResponse

sys.path.insert(0, os.environ["SHAPES_FOLDER"])
import shapes  # noqa: E402


class Shapes(MLModel):
    async def load(self):
        return True

    async def predict(self, payload):
        names, shares = shapes.predict(NumpyCodec.decode_input(payload.inputs[0]))
        outputs = [StringCodec.encode_output("prediction", [name.decode() for name in names]),
                   NumpyCodec.encode_output("probability", shares)]
        if payload.outputs:
            made = {output.name: output for output in outputs}
            outputs = [made[asked.name] for asked in payload.outputs]
        return InferenceResponse(model_name=self.name, model_version=self.version, id=payload.id, outputs=outputs)
