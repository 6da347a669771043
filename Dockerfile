# The service of code sets in the folder /data:
#
#     docker build -t bitcodes .
#     docker run --read-only --tmpfs /tmp -e BITCODES_TOKEN=... -p 127.0.0.1:8000:8000 \
#         -v "$PWD:/data:ro" bitcodes
FROM python:3.12-slim

# torch without CUDA: the service computes on the CPU.
COPY . /src
RUN pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu '/src[serve]' \
    && rm -r /src \
    && useradd --system --no-create-home --uid 10001 bitcodes

# Compiled kernels go where a read-only container can write.
ENV NUMBA_CACHE_DIR=/tmp/numba PYTHONDONTWRITEBYTECODE=1 MPLCONFIGDIR=/tmp
USER 10001
WORKDIR /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --start-period=120s --interval=30s --timeout=5s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
ENTRYPOINT ["bitcodes", "serve", "--host", "0.0.0.0", "--log-format", "json"]
CMD ["codes.npy"]
