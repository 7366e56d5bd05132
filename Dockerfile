# The bridge in a small image: made from the locked packages alone, run by a user without rights.
FROM python:3.13 AS build
WORKDIR /src
COPY requirements-build.lock requirements.lock ./
RUN python -m venv /tools \
 && /tools/bin/pip install --no-cache-dir --require-hashes --requirement requirements-build.lock
RUN python -m venv --without-pip /venv \
 && /tools/bin/pip --python /venv/bin/python install --no-cache-dir --require-hashes --requirement requirements.lock
COPY pyproject.toml README.md CHANGELOG.md LICENSE ./
COPY bridge bridge
RUN /tools/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels . \
 && /tools/bin/pip --python /venv/bin/python install --no-cache-dir --no-deps /wheels/*.whl

FROM python:3.13-slim
LABEL org.opencontainers.image.title="vscope-bridge" \
      org.opencontainers.image.description="OVHcloud vScope data (VMware on OVHcloud) in Grafana" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --system --uid 10001 --user-group --no-create-home --home-dir /var/lib/vscope-bridge vscope \
 && install --directory --owner vscope --group vscope --mode 0700 /var/lib/vscope-bridge
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    VSCOPE_HOST=0.0.0.0 \
    VSCOPE_PORT=8080 \
    VSCOPE_HISTORY_DIR=/var/lib/vscope-bridge
USER vscope
WORKDIR /var/lib/vscope-bridge
VOLUME /var/lib/vscope-bridge
EXPOSE 8080
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]
ENTRYPOINT ["vscope-bridge"]
CMD ["serve"]
