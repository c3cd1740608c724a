# One image for every worker and for the command; which of them runs is said by the arguments.
# The base image's name may be pinned to a digest or taken from a mirror: --build-arg BASE=...
ARG BASE=python:3.12-slim

FROM ${BASE} AS build
WORKDIR /build
RUN python -m venv --without-pip /opt/stockbook
# Everything that is fetched is named with its hash. This layer is made anew only when a lock file changes.
COPY requirements.lock requirements-dev.lock ./
RUN pip --python /opt/stockbook/bin/python install --no-cache-dir --require-hashes -r requirements.lock
# Of the development lock only what builds the project: hatchling and what it needs; pip refuses one that is not listed.
RUN awk '/^[^ ]/ { keep = /^(hatchling|packaging|pathspec|pluggy|tomlkit|trove-classifiers)==/ } keep' \
      requirements-dev.lock >build.lock \
 && pip install --no-cache-dir --require-hashes -r build.lock
COPY pyproject.toml README.md ./
COPY shared shared
COPY services services
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir dist . \
 && pip --python /opt/stockbook/bin/python install --no-cache-dir --no-deps dist/*.whl

FROM ${BASE}
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin stockbook
COPY --from=build /opt/stockbook /opt/stockbook
ENV PATH=/opt/stockbook/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# A number, so that an orchestrator can see that it is not root.
USER 10001
ENTRYPOINT ["stockbook"]
CMD ["--help"]
