# syntax=docker/dockerfile:1
# The studio as a container:
#
#   docker build -t masklet .
#   docker run -p 8100:8100 -v masklet-data:/data -e MASKLET_TOKEN=... masklet
#
# With PyTorch for official checkpoints on the CPU, larger by about 1 GB: docker build --build-arg TORCH=cpu .

ARG PYTHON=3.12

FROM node:22-slim AS page
WORKDIR /build/web
COPY web/package.json web/package-lock.json ./
COPY web/schema/package.json schema/
# Not `npm ci`, as in scripts/build_page.
RUN npm install --no-save --no-audit --no-fund
COPY web/ ./
RUN npm run build

FROM python:${PYTHON}-slim AS wheel
RUN pip install --no-cache-dir "build>=1.2"
WORKDIR /build
COPY pyproject.toml hatch_build.py README.md LICENSE NOTICE ./
COPY scripts/build_page scripts/
COPY src/ src/
# Built above from the same sources; the wheel's own check of times does not see web/ here, and takes it as it is.
COPY --from=page /build/src/masklet/server/static/ src/masklet/server/static/
RUN python -m build --wheel --outdir /dist

FROM python:${PYTHON}-slim
# "cpu" adds PyTorch without CUDA; empty adds nothing.
ARG TORCH=
ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PYTHONUNBUFFERED=1
COPY constraints.txt /tmp/
RUN --mount=from=wheel,source=/dist,target=/dist \
    wheel="$(echo /dist/*.whl)" && \
    if [ "$TORCH" = cpu ]; then \
        pip install --constraint /tmp/constraints.txt --extra-index-url https://download.pytorch.org/whl/cpu \
            "${wheel}[server,hub]"; \
    elif [ -z "$TORCH" ]; then \
        pip install "${wheel}[server]"; \
    else \
        echo "TORCH must be empty or cpu, got $TORCH" >&2; exit 1; \
    fi && \
    rm /tmp/constraints.txt
RUN useradd --create-home --uid 1000 masklet && install --directory --owner=masklet --group=masklet /data
USER masklet
WORKDIR /home/masklet
VOLUME /data
EXPOSE 8100
# Any host name may be used to reach it: the token protects it. `--host` other than this machine makes one up, and prints
# it, when MASKLET_TOKEN gives none.
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8100/readyz', timeout=4)"]
ENTRYPOINT ["masklet", "serve", "--host", "0.0.0.0", "--port", "8100", "--data", "/data", "--no-browser"]
