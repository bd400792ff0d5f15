# The image holds one static binary and the public root certificates. Nothing is compiled here, so that the binary which
# was tested is the one which ships, and so that one file serves every architecture.
#
# `just image` prepares the context. By hand, for amd64:
#
#   rustup target add x86_64-unknown-linux-musl         # plus musl-gcc, for the C part of aws-lc-sys
#   cargo build --locked --profile dist --features redis --target x86_64-unknown-linux-musl
#   install -D target/x86_64-unknown-linux-musl/dist/pullgate target/image/amd64/pullgate
#   install -D -m 0644 /etc/ssl/certs/ca-certificates.crt target/image/ca-certificates.crt
#   docker build --tag pullgate .
#
# For arm64 put an aarch64-unknown-linux-musl binary at target/image/arm64/pullgate and build with
# `docker buildx build --platform linux/amd64,linux/arm64`.

FROM scratch

# Set by BuildKit for each platform; elsewhere pass --build-arg TARGETARCH=amd64.
ARG TARGETARCH

# The root certificates that registries on the public internet are checked against: a PEM bundle inside the context.
# Use your own bundle here, or mount one and set SSL_CERT_FILE, when a proxy or a private CA stands in between.
ARG CA_BUNDLE=target/image/ca-certificates.crt

COPY ${CA_BUNDLE} /etc/ssl/certs/ca-certificates.crt
COPY target/image/${TARGETARCH}/pullgate /pullgate

# A number, not a name: the image has no passwd file, and `runAsNonRoot` can only check numbers.
USER 65532:65532

# 10250: /validate and /mutate over HTTPS. 9090: /livez, /readyz and /metrics.
EXPOSE 10250 9090

ENTRYPOINT ["/pullgate"]
CMD ["serve"]
