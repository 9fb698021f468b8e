# One image for the manager and the agent: static binaries on an empty base. The agent mounts, formats and announces on its host,
# so it runs in the host's namespaces and uses the host's own mount and file-system tools (see charts/quorate).
FROM --platform=$BUILDPLATFORM golang:1.26-bookworm AS build
ARG TARGETOS TARGETARCH VERSION=dev
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY api api
COPY cmd cmd
COPY controllers controllers
COPY pkg pkg
RUN for command in manager agent; do \
      CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath \
        -ldflags "-s -w -X github.com/quorate/quorate/pkg/version.Version=$VERSION" -o /out/quorate-$command ./cmd/$command; \
    done

FROM scratch
LABEL org.opencontainers.image.title="Quorate" \
      org.opencontainers.image.description="Failover clustering for bare-metal Linux hosts" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /out/ /usr/local/bin/
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/quorate-manager"]
