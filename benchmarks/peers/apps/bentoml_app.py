"""BentoML: a photo of a form, which BentoML opens: `bentoml serve bentoml_app:Classifier`."""

import os

import bentoml
from network import Network
from PIL.Image import Image


@bentoml.service(workers=int(os.environ["PEER_WORKERS"]))
class Classifier:
    """One network in each worker."""

    def __init__(self) -> None:
        self.network = Network()

    @bentoml.api
    def predict(self, image: Image) -> list[dict[str, object]]:
        """Answer one photo."""
        return self.network.answer(image)
