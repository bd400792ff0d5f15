# The image holds one static binary and the public root certificates. Nothing is compiled here, so that the binary which
# was tested is the one which ships, and so that one file serves every architecture.
#
# `just image` does it all. By hand, for amd64:
#
#   rustup target add x86_64-unknown-linux-musl         # plus musl-gcc, for the C part of aws-lc-sys
#   cargo install --locked cargo-auditable
#   .ci/dist                                            # target/image/amd64/pullgate and the root certificates
#   docker build --build-arg TARGETARCH=amd64 --tag pullgate .
#
# For arm64 too: `.ci/dist dist aarch64-unknown-linux-musl`, then `docker buildx build --platform linux/amd64,linux/arm64`.

FROM scratch

# Set by BuildKit for each platform.
ARG TARGETARCH

# Of the release; without them the labels are empty.
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="pullgate" \
      org.opencontainers.image.description="Kubernetes admission webhook that ends ImagePullBackOff" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# The root certificates that registries on the public internet are checked against: a PEM bundle inside the context.
# Use your own bundle here, or mount one and set SSL_CERT_FILE, when a proxy or a private CA stands in between.
ARG CA_BUNDLE=target/image/ca-certificates.crt

COPY ${CA_BUNDLE} /etc/ssl/certs/ca-certificates.crt
# What carries files between machines may forget that this one runs.
COPY --chmod=0755 target/image/${TARGETARCH}/pullgate /pullgate

# A number, not a name: the image has no passwd file, and `runAsNonRoot` can only check numbers.
USER 65532:65532

# 10250: /validate and /mutate over HTTPS. 9090: /livez, /readyz and /metrics.
EXPOSE 10250 9090

ENTRYPOINT ["/pullgate"]
CMD ["serve"]
