# The local server in a container; how to use it: docs/operations.md#in-a-container

FROM rust:1.95-slim-bookworm AS source
WORKDIR /src
COPY . .

FROM source AS build
RUN cargo build --profile server --locked

# For tests and coverage: `docker build --target tools`.
FROM source AS tools
# Debian keeps no older versions, so none can be named.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends llvm-19 strace util-linux \
    && rm -rf /var/lib/apt/lists/* \
    && cargo install --locked cargo-llvm-cov@0.9.1 \
    && cargo fetch --locked \
    && cargo fetch --locked --manifest-path tests/dynamodb-engine/Cargo.toml \
    && useradd --system --uid 10001 --create-home sms-proxy \
    && chown -R sms-proxy /src /usr/local/cargo
# The compiler's own LLVM tools would be fetched otherwise.
ENV CARGO_LLVM_COV_SETUP=no LLVM_COV=/usr/bin/llvm-cov-19 LLVM_PROFDATA=/usr/bin/llvm-profdata-19
USER 10001
ENTRYPOINT ["/src/infra/entrypoint.sh"]
CMD ["test"]

FROM debian:bookworm-slim AS service
# Flowroute and AWS are spoken to by TLS.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /srv sms-proxy \
    && install --directory --owner=sms-proxy --mode=700 /srv/local-sqlite
COPY --from=build /src/target/server/sms-proxy /src/infra/entrypoint.sh /usr/local/bin/
WORKDIR /srv
VOLUME /srv/local-sqlite
USER 10001
ENV BIND_ADDR=0.0.0.0:8000
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s CMD ["sms-proxy", "health"]
ENTRYPOINT ["entrypoint.sh"]
CMD ["serve"]
