# The service image: Python, what requirements-service.txt lists, models/ and service/.
# No TensorFlow and no Keras, so nothing in it can load a Keras file.
#
#   docker build -t layerscope .
#
# A bundle mounted, read-only, on a read-only system (deploy/compose.yaml is the longer form):
#
#   docker run --rm -p 8000:8000 --read-only --tmpfs /tmp \
#       --mount type=bind,source="$PWD/out/flowers",target=/bundle,readonly layerscope
#
# A bundle baked in: an image on top of this one, with the bundle's folder as its context:
#
#   printf 'FROM layerscope\nCOPY . /bundle\n' | docker build -t flowers -f - out/flowers
#
# Several bundles, or other options: give the whole command. The health check asks port 8000.
#
#   docker run ... layerscope /bundles/flowers /bundles/birds --host 0.0.0.0 --workers 2
#
# deploy/check_image.sh performs these steps without Docker.

FROM python:3.11.15-slim-bookworm

# Messages appear at once; nothing is written beside the sources while the service runs;
# ONNX Runtime sends no usage data to its maker, which it does unless told not to.
ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    ORT_DISABLE_TELEMETRY=1

WORKDIR /app

# A numeric user, so that a cluster can see that it is not root. It owns nothing.
RUN groupadd --gid 10001 layerscope \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent \
        --shell /usr/sbin/nologin layerscope

# The packages first: they change less often than the sources.
COPY requirements-service.txt ./
RUN pip install --no-cache-dir --disable-pip-version-check --root-user-action=ignore \
        -r requirements-service.txt

COPY LICENSE NOTICE ./
COPY models/ models/
COPY service/ service/

USER 10001:10001
EXPOSE 8000

# Proxies are for the outside: an environment that sets one must not send this request there.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "from urllib.request import ProxyHandler, build_opener; build_opener(ProxyHandler({})).open('http://127.0.0.1:8000/v2/health/ready', timeout=4)"]

ENTRYPOINT ["python", "-m", "service"]
CMD ["/bundle", "--host", "0.0.0.0", "--port", "8000"]
