# The gateway in a container: docs/how-to/container.md says how to run it.
#   docker build -t openclaw-gateway .
# Any Debian image with Python 3.11 or newer in /usr/local does, such as one of your own mirror.
ARG PYTHON_IMAGE=python:3.13-slim-trixie

# ------------------------------------------------------------------- tools and sources stay behind
FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
COPY LICENSE README.md pyproject.toml constraints.txt ./
COPY cli ./cli
COPY gateway ./gateway
COPY stores ./stores
COPY systemd ./systemd
# The environment has no pip in it, so nothing installs anything in a running container; and only wheels are taken:
# nothing that comes from a registry runs while the image is built.
RUN python -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheels . \
    && python -m venv --without-pip /opt/openclaw \
    && python -m pip --python /opt/openclaw/bin/python install --no-cache-dir \
    --only-binary :all: --constraint constraints.txt /wheels/*.whl

# --------------------------------------------------------------------------------------- the image
FROM ${PYTHON_IMAGE}
# 1000 is the first user of most hosts, so that files shared with the host belong to somebody.
RUN groupadd --gid 1000 openclaw \
    && useradd --uid 1000 --gid 1000 --no-create-home --home-dir /var/lib/openclaw \
    --shell /usr/sbin/nologin openclaw \
    && install -d -m 0700 -o 1000 -g 1000 /var/lib/openclaw
COPY --from=build /opt/openclaw /opt/openclaw
ENV PATH=/opt/openclaw/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ENV HOME=/var/lib/openclaw
ENV OPENCLAW_STATE_DIR=/var/lib/openclaw
# A number, so that orchestrators can see that it is not root.
USER 1000:1000
# After its owner is set: a new volume takes owner and mode from here.
VOLUME /var/lib/openclaw
EXPOSE 18789
# The gateway itself is process 1: it answers signals from its first moment on and leaves no zombies.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
    CMD ["openclaw", "gateway", "health", "--probe"]
ENTRYPOINT ["openclaw"]
# lan means the container's own network; what reaches it from outside is what you publish.
CMD ["gateway", "run", "--bind", "lan"]
