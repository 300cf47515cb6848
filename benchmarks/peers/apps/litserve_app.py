"""LitServe: a file of a form, decoded and answered in a process of its own."""

import sys

import litserve
from fastapi import Request
from network import Network
from PIL import Image


class Api(litserve.LitAPI):
    """The four steps of LitServe."""

    def setup(self, device: str) -> None:
        """Load the network in each worker."""
        self.network = Network()

    def decode_request(self, request: Request) -> Image.Image:
        """Open the photo in the field `image`."""
        return Image.open(request["image"].file)  # a form, by the type above

    def predict(self, image: Image.Image) -> list[dict[str, object]]:
        """Answer it."""
        return self.network.answer(image)

    def encode_response(self, output: list[dict[str, object]]) -> dict[str, object]:
        """Wrap the answer."""
        return {"predictions": output}


if __name__ == "__main__":
    server = litserve.LitServer(Api(), accelerator="cpu", workers_per_device=int(sys.argv[2]))
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        num_api_servers=1,
        generate_client_file=False,
        log_level="error",
    )
