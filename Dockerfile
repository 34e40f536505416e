# the tag is Cargo.toml's rust-version; the C compiler that ring wants is in it
FROM rust:1.95-bookworm AS build
# writes what the binary was built of into it, for scanners (trivy, syft, cargo audit bin)
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    cargo install cargo-auditable --version 0.7.7 --locked
WORKDIR /src
COPY . .
# what cargo fetched and built stays in the builder's cache, so the binary is taken out
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo auditable build --release --locked --features sql --bin trailgate \
    && cp target/release/trailgate /usr/local/bin/trailgate

# the same Debian's C library, certificates of public authorities, and no shell
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /usr/local/bin/trailgate /usr/local/bin/trailgate
# by number: Kubernetes sees that it is not root
USER 65532:65532
EXPOSE 50051 8080
ENTRYPOINT ["/usr/local/bin/trailgate"]
