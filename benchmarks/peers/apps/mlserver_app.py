"""MLServer: a photo in base64 in the JSON of the Open Inference Protocol: `mlserver start`."""

import io
import json

from mlserver import MLModel
from mlserver.codecs import Base64Codec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse
from network import Network
from PIL import Image


class Runtime(MLModel):
    """One network in each inference worker."""

    async def load(self) -> bool:
        """Load the network."""
        self.network = Network()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer the photo in the first input."""
        (data,) = Base64Codec.decode_input(payload.inputs[0])
        answer = json.dumps(self.network.answer(Image.open(io.BytesIO(data))))
        output = StringCodec.encode_output("predictions", [answer])
        return InferenceResponse(model_name=self.name, outputs=[output])
