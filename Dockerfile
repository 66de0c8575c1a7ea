# Two images, one user: `server` answers predictions and holds no PyTorch, `trainer` makes bundles and ends.
#   docker build --target server  --tag insitu-server .
#   docker build --target trainer --tag insitu-trainer .

FROM python:3.12-slim AS base
# ONNX Runtime's official builds report to their maker unless told not to before they are loaded.
ENV ORT_DISABLE_TELEMETRY=1
ENV PATH=/opt/insitu/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# A fixed number, so that volumes, sockets and runAsNonRoot rules can name it.
RUN groupadd --gid 10001 insitu \
 && useradd --uid 10001 --gid insitu --create-home --shell /usr/sbin/nologin insitu

# The dependencies come from the pins alone: a change of the code does not fetch them again.
FROM base AS pins
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore \
    PYTHONDONTWRITEBYTECODE=
WORKDIR /src
RUN python3 -m venv /opt/insitu
COPY pyproject.toml constraints.txt README.md LICENSE ./

FROM pins AS wheel
COPY models models
COPY trainer trainer
COPY server server
COPY cli cli
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheel .

FROM pins AS server-pins
RUN pip install --no-cache-dir --constraint constraints.txt '.[server]'

# The hot path as C; the compiler and mypy, which reads the types of what the server needs, stay behind.
FROM server-pins AS compiled-wheel
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc libc6-dev \
 && rm -rf /var/lib/apt/lists/* \
 && pip install --no-cache-dir --constraint constraints.txt '.[compile]'
COPY setup.py ./
COPY models models
COPY trainer trainer
COPY server server
COPY cli cli
RUN INSITU_COMPILE=1 pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheel .

FROM server-pins AS server-files
COPY --from=compiled-wheel /wheel /wheel
RUN pip install --no-cache-dir --no-deps --force-reinstall /wheel/*.whl

FROM pins AS trainer-files
# The CPU build of PyTorch; --build-arg TORCH_INDEX= takes the one with CUDA from PyPI.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN pip install --no-cache-dir --constraint constraints.txt ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} '.[trainer]'
COPY --from=wheel /wheel /wheel
RUN pip install --no-cache-dir --no-deps --force-reinstall /wheel/*.whl

FROM base AS trainer
ENV MPLCONFIGDIR=/tmp/matplotlib
COPY --from=trainer-files /opt/insitu /opt/insitu
USER 10001:10001
WORKDIR /home/insitu
ENTRYPOINT ["insitu"]
CMD ["train", "breast_cancer", "digits", "japanese_vowels", "--load"]

# Last, so that a build without --target makes the server.
FROM base AS server
COPY --from=server-files /opt/insitu /opt/insitu
# A volume that is mounted there the first time takes over whose it is.
RUN install --directory --owner=10001 --group=10001 --mode=0700 /var/cache/insitu
USER 10001:10001
WORKDIR /home/insitu
EXPOSE 8000 8001 8002
# The container asks itself where it listens: through no proxy, and whatever its certificate calls it.
HEALTHCHECK --interval=5s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python3", "-c", "import os, ssl, urllib.request as r; \
        host = (os.environ.get('INSITU_HOST') or '127.0.0.1').strip('[]'); \
        host = '127.0.0.1' if host in ('0.0.0.0', '::') else '[' + host + ']' if ':' in host else host; \
        door = ('https' if os.environ.get('INSITU_TLS_CERT') else 'http') + '://' + host + ':' + (os.environ.get('INSITU_PORT') or '8000'); \
        itself = r.HTTPSHandler(context=ssl._create_unverified_context()); \
        r.build_opener(r.ProxyHandler({}), itself).open(door + '/health/ready', timeout=2)"]
ENTRYPOINT ["insitu"]
CMD ["serve"]
