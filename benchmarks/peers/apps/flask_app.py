"""Flask and ONNX Runtime, as tutorials have it: `gunicorn -w 2 flask_app:app`."""

from flask import Flask, request
from network import Network
from PIL import Image

app = Flask(__name__)
network = Network()


@app.post("/predict")
def predict() -> dict[str, object]:
    """Answer the photo in the field `image`."""
    return {"predictions": network.answer(Image.open(request.files["image"].stream))}
