# Two images from one file; docs/deploy.md has their sizes and how to run them.
#
#   docker build -t layerscope .                                  # target `service`, the last one
#   docker build -t layerscope-training --target training .
#
# Nothing here depends on the processor: with `docker buildx build --platform linux/amd64,linux/arm64`
# both are built, from packages that exist ready-made for both.
#
# deploy/check_image.sh performs these steps without Docker.

FROM python:3.11.15-slim-bookworm AS base

# Messages appear at once; nothing is written beside the sources while a container runs;
# ONNX Runtime sends no usage data to its maker, which it does unless told not to.
ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    ORT_DISABLE_TELEMETRY=1

WORKDIR /app

# A numeric user, so that a cluster can see that it is not root. It owns nothing.
RUN groupadd --gid 10001 layerscope \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent \
        --shell /usr/sbin/nologin layerscope

LABEL org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.vendor="Layerscope"


# Makes bundles: TensorFlow, Keras, and what writes and checks graphs. Listens to nothing.
FROM base AS training

# The packages first: they change less often than the sources.
COPY requirements-service.txt requirements.txt ./
RUN pip install --no-cache-dir --disable-pip-version-check --root-user-action=ignore \
        -r requirements.txt

# Features of photos and downloaded weights are kept here: mount a volume, or a tmpfs.
ENV HOME=/cache
RUN install --directory --mode=1777 /cache

COPY LICENSE NOTICE ./
COPY models/ models/
COPY training/ training/

ARG REVISION=unknown
LABEL org.opencontainers.image.title="Layerscope training" \
      org.opencontainers.image.description="Turns folders of photos into image classifiers" \
      org.opencontainers.image.revision="${REVISION}"

USER 10001:10001
ENTRYPOINT ["python", "-m", "training"]
CMD ["--help"]


# Serves bundles: Python, what requirements-service.txt lists, models/ and service/. No TensorFlow
# and no Keras, so nothing in it can load a Keras file.
FROM base AS service

COPY requirements-service.txt ./
RUN pip install --no-cache-dir --disable-pip-version-check --root-user-action=ignore \
        -r requirements-service.txt

# All of models/ but building/ and adopting/, which only training needs.
COPY LICENSE NOTICE ./
COPY models/*.py models/
COPY models/bundles/ models/bundles/
COPY models/decoding/ models/decoding/
COPY service/ service/

ARG REVISION=unknown
LABEL org.opencontainers.image.title="Layerscope service" \
      org.opencontainers.image.description="Serves image classifiers over HTTP and shows what every layer detects" \
      org.opencontainers.image.revision="${REVISION}"

USER 10001:10001
EXPOSE 8000

# Proxies are for the outside: an environment that sets one must not send this request there.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "from urllib.request import ProxyHandler, build_opener; build_opener(ProxyHandler({})).open('http://127.0.0.1:8000/v2/health/ready', timeout=4)"]

ENTRYPOINT ["python", "-m", "service"]
CMD ["/bundle", "--host", "0.0.0.0", "--port", "8000"]
