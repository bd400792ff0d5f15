package main

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// fetched is what a pull has brought to the node so far.
type fetched map[digest.Digest][]byte

type reader struct{ *bytes.Reader }

func (reader) Close() error { return nil }

func (f fetched) ReaderAt(_ context.Context, desc ocispec.Descriptor) (content.ReaderAt, error) {
	blob, ok := f[desc.Digest]
	if !ok {
		return nil, fmt.Errorf("content digest %s: %w", desc.Digest, errdefs.ErrNotFound)
	}
	return reader{bytes.NewReader(blob)}, nil
}

func (f fetched) fetch(ctx context.Context, fetcher remotes.Fetcher, desc ocispec.Descriptor) error {
	body, err := fetcher.Fetch(ctx, desc)
	if err != nil {
		return err
	}
	defer body.Close()
	f[desc.Digest], err = io.ReadAll(body)
	return err
}

// choose says which child of an index the transfer service of a node with this platform ends up with: it fetches what
// the image store asks for (core/transfer/image/imagestore.go), and the CRI layer then looks for the configuration.
func choose(ctx context.Context, fetcher remotes.Fetcher, desc ocispec.Descriptor, platform ocispec.Platform) (string, error) {
	has := fetched{}
	if err := has.fetch(ctx, fetcher, desc); err != nil {
		return "", err
	}
	children, err := images.FilterPlatforms(images.ChildrenHandler(has), platforms.Ordered(platform))(ctx, desc)
	if err != nil {
		return "", err
	}
	configs := map[digest.Digest]digest.Digest{}
	for _, child := range children {
		if err := has.fetch(ctx, fetcher, child); err != nil {
			return "", err
		}
		manifest, err := images.Manifest(ctx, has, child, nil)
		if err != nil {
			return "", err
		}
		if err := has.fetch(ctx, fetcher, manifest.Config); err != nil {
			return "", err
		}
		configs[manifest.Config.Digest] = child.Digest
	}
	config, err := images.Config(ctx, has, desc, platforms.Only(platform))
	if err != nil {
		return "", fmt.Errorf("get image config descriptor: %w", err)
	}
	return configs[config.Digest].String(), nil
}
