"""What a user would write: Flask, Keras `predict`, gunicorn with one worker.

gunicorn -w 1 --threads 4 'benchmarks.plain_service:create_app("BUNDLE")'
"""

import io
import json
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from flask import Flask, Response, request
from PIL import Image


def create_app(bundle: str) -> Flask:
    """The plain service for a bundle's model.keras."""
    app = Flask(__name__)
    model = keras.models.load_model(Path(bundle) / "model.keras")
    class_names = json.loads((Path(bundle) / "manifest.json").read_text())["class_names"]
    size = model.input_shape[1]
    model.predict(np.zeros((1, size, size, 3)), verbose=0)  # so that the first request is no slower

    @app.get("/v2/health/ready")
    def ready() -> dict[str, bool]:
        return {"ready": True}

    @app.post("/predict")
    def predict() -> dict[str, object]:
        photo = Image.open(io.BytesIO(request.get_data())).convert("RGB").resize((size, size))
        logits = model.predict(np.asarray(photo, "float32")[None], verbose=0)[0]
        powers = np.exp(logits - logits.max())
        probabilities = powers / powers.sum()
        best = probabilities.argsort()[::-1][:5]
        return {
            "predictions": [
                {"label": class_names[i], "probability": float(probabilities[i])} for i in best
            ]
        }

    @app.post("/activations/<layer>")
    def activations(layer: str) -> Response:
        """As viewers for Keras do: a sub-model for the layer, built and called on each request."""
        photo = Image.open(io.BytesIO(request.get_data())).convert("RGB").resize((size, size))
        part = keras.Model(model.input, model.get_layer(layer).output)
        maps = part.predict(np.asarray(photo, "float32")[None], verbose=0)[0]  # (h, w, C)
        strongest = np.argsort(-maps.mean(axis=(0, 1)))[:16]
        row = np.concatenate([maps[..., channel] for channel in strongest], axis=1)
        buffer = io.BytesIO()
        Image.fromarray((255 * row / (row.max() or 1)).clip(0).astype("uint8")).save(buffer, "PNG")
        return Response(buffer.getvalue(), mimetype="image/png")

    return app
