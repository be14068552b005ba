# SPDX-License-Identifier: Apache-2.0
# The server, its workers and the client in one image. CUDA by default, as PyTorch's wheels bring CUDA's libraries along;
# `--build-arg CONSTRAINTS=constraints/cpu.txt` takes the smaller pair of versions.
ARG BASE_IMAGE=docker.io/library/python:3.11.14-slim-bookworm@sha256:65a93d69fa75478d554f4ad27c85c1e69fa184956261b4301ebaf6dbb0a3543d

FROM ${BASE_IMAGE} AS build
ARG CONSTRAINTS=constraints/default.txt
# `ray` beside these for a server or a node of `--executor ray`.
ARG EXTRAS="server gpu dicom"
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY constraints constraints
COPY pyproject.toml ./
# What changes seldom and weighs gigabytes has a layer of its own, made from the requirements alone.
RUN python3 -c "import tomllib; project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
extras = project['optional-dependencies']; \
print(*project['dependencies'], *(line for name in '${EXTRAS}'.split() for line in extras[name]), sep='\n')" > requirements.txt \
    && python3 -m venv /opt/nas \
    && /opt/nas/bin/python -m pip install --no-cache-dir -r requirements.txt -c "${CONSTRAINTS}"
COPY README.md LICENSE ./
COPY nas nas
COPY server server
COPY client client
COPY k8s/base k8s/base
RUN /opt/nas/bin/python -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM ${BASE_IMAGE}
ARG BASE_IMAGE
ARG VERSION=0.2.0
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="seib-nas" \
      org.opencontainers.image.description="Neural architecture search for small, accurate image classifiers" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.base.name="${BASE_IMAGE}"
RUN groupadd --gid 10001 nas \
    && useradd --uid 10001 --gid 10001 --home-dir /tmp --no-create-home --shell /usr/sbin/nologin nas \
    && install --directory --owner 10001 --group 10001 /var/lib/nas /data
COPY --from=build /opt/nas /opt/nas
# The program itself is a few hundred kilobytes on top, so that a new version is a small download.
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    /opt/nas/bin/python -m pip install --no-cache-dir --no-deps --no-index /wheels/*.whl
# The program makes no caches of compiled Python at run time: the root file system is read-only.
ENV PATH=/opt/nas/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    NAS_STATE_DIR=/var/lib/nas \
    NAS_DATA_ROOT=/data \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 10001:10001
WORKDIR /tmp
STOPSIGNAL SIGTERM
EXPOSE 50051 50052 9464
ENTRYPOINT ["nas-server"]
CMD ["serve"]
